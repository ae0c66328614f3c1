/// Runs calls that block, such as file reads, on threads of their own and lets tasks await them.
///
/// Threads are started when none is idle; two idle ones are kept, the others end.
package final class BlockingThreads: Sendable {
    /// The instance of this program; no thread exists before the first call.
    package static let shared = BlockingThreads()

    private struct State {
        var work: [@Sendable () -> Void] = []
        var idle = 0
    }

    private let monitor = Monitor(State())
    private let idleMaximum = 2

    /// Creates an instance without any threads.
    package init() {}

    /// Runs `body` on a thread that may block and suspends until it has ended.
    ///
    /// ## Cancellation
    /// A running call cannot be interrupted: cancelling the task changes nothing here.
    ///
    /// - Throws: What `body` throws, or `SystemError` when no thread could be started.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        let handOver = HandOver()
        defer { handOver.pass() }
        return try await withUnsafeThrowingContinuation { continuation in
            do {
                try submit {
                    let result = Result { try body() }
                    handOver.pass()
                    continuation.resume(with: result)
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Runs `body` on a thread that may block and returns at once.
    ///
    /// - Throws: `SystemError` when no thread could be started; `body` does not run then.
    package func submit(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let handedOver = monitor.withLock { state in
            guard state.idle > state.work.count else { return false }
            state.work.append(body)
            return true
        }
        if handedOver {
            monitor.signal()
        } else {
            // Taken out by the thread, which would keep what the body holds for as long as it lives.
            let first = Locked<(@Sendable () -> Void)?>(body)
            try SystemThread.start(name: "blocking") {
                first.withLock { first in
                    defer { first = nil }
                    return first
                }?()
                self.serve()
            }
        }
    }

    private func serve() {
        while let next = nextWork() { next() }
    }

    private func nextWork() -> (@Sendable () -> Void)? {
        let mayIdle = monitor.withLock { state in
            guard state.idle < idleMaximum else { return false }
            state.idle += 1
            return true
        }
        guard mayIdle else { return nil }
        return monitor.wait { state in
            guard !state.work.isEmpty else { return nil }
            state.idle -= 1
            return state.work.removeFirst()
        }
    }
}
