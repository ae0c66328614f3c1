import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A non-blocking descriptor that is closed once, and only when no call uses it any more.
///
/// The number is never handed to a call after `close()`, so a descriptor the system reuses is not
/// touched by mistake; tasks that wait are resumed with an error for which `isClosed` is true.
package final class IODescriptor: Sendable {
    private struct State {
        var users = 0
        var isClosing = false
        var hasPeerEnded = false
    }

    private let number: Int32
    private let ioThread: IOThread
    private let subject: String
    private let state = Locked(State())

    /// Takes over an open descriptor.
    ///
    /// - Parameters:
    ///   - number: The open, non-blocking descriptor; owned from here on.
    ///   - subject: Names it in errors, such as `127.0.0.1:9999`.
    ///   - ioThread: Where its waits are served.
    package init(owning number: Int32, subject: String, ioThread: IOThread) {
        self.number = number
        self.subject = subject
        self.ioThread = ioThread
    }

    deinit { close() }

    /// Whether `close()` has been called.
    package var isClosed: Bool { state.withLock(\.isClosing) }

    /// Runs a call that does not block with the descriptor's number.
    ///
    /// - Throws: `SystemError` when closed, or what `body` throws.
    package func use<Value>(
        _ call: String, _ body: (Int32) throws(SystemError) -> Value
    ) throws(SystemError) -> Value {
        guard acquire() else { throw SystemError.closed(call, subject) }
        defer { release() }
        return try body(number)
    }

    /// Suspends until the descriptor is readable or writable.
    ///
    /// - Throws: `CancellationError`; `SystemError` when closed or when the deadline, a reading of
    ///   `SystemTime.monotonic()`, has passed.
    package func waitUntil(_ interest: IOThread.Interest, deadline: Duration? = nil) async throws {
        guard acquire() else { throw SystemError.closed("poll", subject) }
        defer { release() }
        let wait = IOWait()
        try await wait.run {
            // Under the lock: `close()` either forbids this or finds the wait registered.
            let (isClosing, hasPeerEnded) = state.withLock { state in
                if !state.isClosing, !state.hasPeerEnded {
                    ioThread.add(wait, interest, number, deadline: deadline)
                }
                return (state.isClosing, state.hasPeerEnded)
            }
            if isClosing {
                wait.finish(.failure(SystemError.closed("poll", subject)))
            } else if hasPeerEnded {
                wait.finish(.success(()))
            }
        } forget: {
            ioThread.forget(wait)
        }
    }

    /// Whether the other side is known to have ended.
    var hasPeerEnded: Bool { state.withLock(\.hasPeerEnded) }

    /// Notes that the other side has ended, though others may hold its end open: nobody waits for it
    /// any more, and those who do look once more.
    func notePeerEnd() {
        let isOpen = state.withLock { state in
            state.hasPeerEnded = true
            return !state.isClosing
        }
        if isOpen, acquire() {
            defer { release() }
            ioThread.endWaits(for: number, .success(()))
        }
    }

    /// Closes the descriptor; later calls change nothing.
    package func close() {
        let isFirst = state.withLock { state in
            guard !state.isClosing else { return false }
            state.isClosing = true
            // A user itself: nobody else closes the number while it is needed here.
            state.users += 1
            return true
        }
        guard isFirst else { return }
        defer { release() }
        // Tells the peer at once, and frees a listener's port, even while a poll holds the file.
        shutdown(number, Int32(SHUT_RDWR))
        ioThread.endWaits(for: number, .failure(SystemError.closed("poll", subject)))
    }

    /// Whether it was closed, by this side.
    package var isClosing: Bool { state.withLock { $0.isClosing } }

    private func acquire() -> Bool {
        state.withLock { state in
            guard !state.isClosing else { return false }
            state.users += 1
            return true
        }
    }

    private func release() {
        let isLast = state.withLock { state in
            state.users -= 1
            return state.isClosing && state.users == 0
        }
        if isLast { systemClose(number) }
    }

    /// Makes a pipe whose ends are non-blocking and not inherited by child programs.
    static func makePipe() throws(SystemError) -> (reader: Int32, writer: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError.last("pipe", "a pipe") }
        for end in ends { try prepare(end, "a pipe") }
        return (ends[0], ends[1])
    }

    /// Makes a descriptor non-blocking and closed on `exec`.
    static func prepare(_ number: Int32, _ subject: String) throws(SystemError) {
        let flags = fcntl(number, F_GETFL)
        guard flags >= 0, fcntl(number, F_SETFL, flags | O_NONBLOCK) == 0,
            fcntl(number, F_SETFD, FD_CLOEXEC) == 0
        else { throw SystemError.last("fcntl", subject) }
    }
}

/// The system's `close`, under a name that methods called `close` do not hide.
@discardableResult
func systemClose(_ number: Int32) -> Int32 { close(number) }
