import BatchEngine
import Testing

/// Processes that this one has started.
@Suite struct ChildProcessTests {
    @Test("everybody who waits learns how a process ended")
    func waiters() async throws {
        let process = try ChildProcess.start(
            "/bin/sh", arguments: ["sh", "-c", "exit 3"], environment: [:])
        let ends = try await withThrowingTaskGroup(of: ChildProcess.End.self) { group in
            for _ in 0..<8 {
                group.addTask { try await BlockingThreads.shared.run { process.wait() } }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(ends == Array(repeating: .exited(3), count: 8))
        #expect(process.poll() == .exited(3))
    }

    @Test("a process can be killed while somebody waits for it")
    func killed() async throws {
        let process = try ChildProcess.start(
            "/bin/sh", arguments: ["sh", "-c", "exec sleep 1000"], environment: [:])
        async let end = BlockingThreads.shared.run { process.wait() }
        process.kill()
        #expect(try await end == .signalled(9))
    }
}
