import BatchEngine
import Testing

/// Receivers in processes of their own, seen from outside.
@Suite("Replicated input") struct ReplicatedInputTests {
    private func run(
        _ source: AcknowledgedNumbers, _ arguments: String...
    ) async throws -> ProgramRun {
        let arguments =
            ["received", "engine=processes", "port=\(source.port)", "last=\(source.farewell)"]
            + arguments
        return try await source.serve {
            let program = try await Program(arguments)
            let lines = try await program.remainingLines()
            return ProgramRun(lines: lines, end: try await program.ended())
        }
    }

    private func numbers(_ run: ProgramRun, _ output: String) -> [Int] {
        run.lines(output).flatMap { $0.split(separator: " ").compactMap { Int($0) } }
    }

    @Test(
        "S34: nothing acknowledged is lost with the receiver's process", .timeLimit(.minutes(2)),
        arguments: 1...2)
    func killedReceivers(seed: Int) async throws {
        let source = try await AcknowledgedNumbers(to: 3000)
        let run = try await run(source, "killing-receiver=\(seed)")
        #expect(run.end == .exited(0))
        #expect(run.lines("ERROR") == [])
        #expect(source.acknowledged >= 3000)
        let all = numbers(run, "all")
        #expect(Set(all) == Set(1...source.farewell))
        #expect(numbers(run, "once").sorted() == Array(1...source.farewell))
        // What came twice had not been acknowledged when its first receiver ended.
        let counts = Dictionary(all.map { ($0, 1) }, uniquingKeysWith: +)
        let doubled = Set(counts.filter { $0.value > 1 }.keys)
        #expect(doubled.isSubset(of: source.repeated))
        #expect(run.lines("RESTART").count > 5)
    }

    @Test(
        "S34: a trap in a receiver ends its process, and it is started in a fresh one",
        .timeLimit(.minutes(2)))
    func trap() async throws {
        let source = try await AcknowledgedNumbers(to: 300)
        let run = try await run(source, "trap=100")
        #expect(run.end == .exited(0))
        #expect(numbers(run, "once").sorted() == Array(1...source.farewell))
        let restart = try #require(run.lines("RESTART").first)
        #expect(run.lines("RESTART").count == 1)
        #expect(restart.contains("a trap in user code"), "\(restart)")
    }
}
