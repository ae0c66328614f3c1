import BatchEngine
import Testing

/// Failure policies and checkpoints with worker processes, seen from outside.
@Suite(.timeLimit(.minutes(5))) struct WorkerRecoveryTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = try FileSystem.createTemporaryDirectory(prefix: "worker-recovery")
        defer { try? FileSystem.removeTree(folder) }
        try await body(folder)
    }

    @Test("S31: a poisoned record becomes a dead letter, and the stream goes on")
    func poisonedRecord() async throws {
        try await withFolder { folder in
            let run = try await Program.run(
                "letters", "engine=processes", "batches=5", "failures=2", "letters",
                "directory=\(folder)")
            #expect(run.end == .exited(0))
            #expect(
                run.outputs.map { $0.split(separator: " ")[1] } == ["1000", "2000", "4000", "5000"])
            #expect(run.lines("LETTER") == ["3000 6"])
        }
    }

    @Test("S30: a driver that ends is started again, and its workers have the state")
    func restartedDriver() async throws {
        let whole = try await Program.run("everything", "batches=10")
        try await withFolder { folder in
            let first = try await Program.run(
                "everything", "engine=processes", "batches=5", "directory=\(folder)", "crash")
            let second = try await Program.run(
                "everything", "engine=processes", "batches=5", "start=5000", "directory=\(folder)")
            #expect(second.lines("ERROR") == [])
            #expect(second.end == .exited(0))
            #expect(!second.outputs.isEmpty)
            // A batch that no checkpoint calls done has run again, with the same outcome.
            #expect(Set(first.outputs + second.outputs) == Set(whole.outputs))
            #expect(second.outputs.allSatisfy { !$0.contains(" 4000 ") })
        }
    }
}
