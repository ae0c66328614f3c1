import BatchEngine
import ProcessEngine
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Processes that this one has started.
@Suite(.timeLimit(.minutes(5))) struct ChildProcessTests {
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

    // In a process of its own: others look at the environment while they start workers.
    @Test("arguments and environment need not be text", .timeLimit(.minutes(5)))
    func rawBytes() async {
        await #expect(processExitsWith: .success) {
            let folder = try FileSystem.createTemporaryDirectory(prefix: "raw")
            defer { try? FileSystem.removeTree(folder) }
            let odd: [UInt8] = [0x61, 0xFF, 0xC3, 0x28, 0x62]
            let value = odd.map { CChar(bitPattern: $0) } + [0]
            try #require(setenv("DSTREAMS_ODD", value, 1) == 0)
            let command = "printf %s \"$1\" > \"$0/a\"; printf %s \"$DSTREAMS_ODD\" > \"$0/e\""
            let arguments = ["sh", "-c", command, folder].map { Array($0.utf8) } + [odd]
            let process = try ChildProcess.start(
                "/bin/sh", arguments: arguments, environment: ["DSTREAMS_OTHER": "x"])
            #expect(try await BlockingThreads.shared.run { process.wait() } == .exited(0))
            #expect(try FileSystem.readAll("\(folder)/a") == odd)
            #expect(try FileSystem.readAll("\(folder)/e") == odd)
            // Those that a worker is started with.
            let own = ProcessEnvironment.arguments.map { String(decoding: $0, as: UTF8.self) }
            #expect(own == CommandLine.arguments)
        }
    }

    /// A worker that is a shell which ends by itself, and whose socket another process has, too.
    private func worker(
        _ command: String
    ) async throws -> (ChildProcess, ProcessLink, held: BlockingConnection) {
        let folder = try FileSystem.createTemporaryDirectory(prefix: "held")
        defer { try? FileSystem.removeTree(folder) }
        let listener = try LocalListener(path: "\(folder)/socket")
        defer { listener.close() }
        let held = try BlockingConnection(path: listener.path)
        let connection = try await listener.accept(
            deadline: SystemTime.monotonic() + .seconds(60))
        let process = try ChildProcess.start(
            "/bin/sh", arguments: ["sh", "-c", command], environment: [:])
        return (process, try ProcessLink(process, connection, number: 7), held)
    }

    @Test("S31: a worker's end is noticed though a process that it forked holds its socket")
    func heldSocket() async throws {
        let (_, link, held) = try await worker("exit 3")
        let error = await #expect(throws: WorkerLost.self) {
            _ = try await link.exchange(Frames.Message(.task, []), limit: nil)
        }
        #expect(error?.description == "worker 7 ended by itself with status 3")
        // Larger than what the socket takes: nobody reads it.
        let sending = await #expect(throws: WorkerLost.self) {
            _ = try await link.exchange(
                Frames.Message(.task, [UInt8](repeating: 0, count: 4 << 20)), limit: nil)
        }
        #expect(sending?.description == "worker 7 ended by itself with status 3")
        withExtendedLifetime(held) {}
    }

    @Test("what a worker sent before it ended arrives")
    func sentBefore() async throws {
        let (process, link, held) = try await worker("exit 0")
        try held.writeAll(try FramedMessage(Frames.Message(.outcome, [1, 2, 3])))
        _ = try await BlockingThreads.shared.run { process.wait() }
        let answer = try await link.exchange(Frames.Message(.task, []), limit: nil)
        #expect(answer.payload == [1, 2, 3])
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
