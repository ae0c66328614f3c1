import Testing

import BatchEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Many sleeps", .timeLimit(.minutes(5)))
struct ManySleepsTests {
    /// Programs get this many descriptors by default; other tests get by with them meanwhile.
    private static let fileLimit = 1024

    /// Changes how many files may be open; returns how many it were.
    private func limitFiles(to count: rlim_t) throws -> rlim_t {
        #if canImport(Darwin)
            let resource = RLIMIT_NOFILE
        #else
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #endif
        var limit = rlimit()
        try #require(getrlimit(resource, &limit) == 0)
        let before = limit.rlim_cur
        limit.rlim_cur = count
        try #require(setrlimit(resource, &limit) == 0)
        return before
    }

    @Test("sockets are served while more tasks sleep than files may be open")
    func moreThanFiles() async throws {
        let before = try limitFiles(to: rlim_t(Self.fileLimit))
        defer { _ = try? limitFiles(to: before) }
        let ioThread = IOThread(name: "test-io")
        let sleeps = (0...Self.fileLimit).map { _ in
            Task(executorPreference: ioThread) { try await ioThread.sleep(for: .seconds(10_000)) }
        }
        // The thread runs tasks in order, each until it waits.
        await Task(executorPreference: ioThread) {}.value
        let listener = try await TCPListener.bind(host: "127.0.0.1", port: 0)
        let client = try await TCPConnection.connect(
            host: "127.0.0.1", port: listener.port, ioThread: ioThread)
        client.close()
        listener.close()
        for sleep in sleeps { sleep.cancel() }
        for sleep in sleeps {
            await #expect(throws: CancellationError.self) { try await sleep.value }
        }
        ioThread.shutdown()
    }
}
