import BatchEngine

/// Holds up a thread where a test wants it, and tells the test that it is there.
final class Gate: Sendable {
    private let isOpen = Monitor(false)
    private let reached = AsyncStream.makeStream(of: Void.self)

    /// Blocks the calling thread until the gate is open.
    func pass() {
        reached.continuation.yield()
        _ = isOpen.wait { $0 ? true : nil }
    }

    /// Lets `wait()` return, though nobody has come to the gate.
    func signal() { reached.continuation.yield() }

    /// Returns when somebody has come to the gate, or `signal()` was called.
    func wait() async {
        for await _ in reached.stream { return }
    }

    func open() {
        isOpen.withLock { $0 = true }
        isOpen.broadcast()
    }
}
