import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Lets a task wait for SIGINT and SIGTERM, which then no longer end the program.
///
/// One instance at a time; what the signals did before is restored when it is released.
///
/// ```swift
/// let signals = try SignalWaiter()
/// let signal = try await signals.next()
/// ```
package final class SignalWaiter: Sendable {
    /// The number of SIGINT, sent by Ctrl-C.
    package static let interrupt = SIGINT
    /// The number of SIGTERM, the usual request to stop.
    package static let terminate = SIGTERM

    private let reader: IODescriptor
    private let previous: [(signal: Int32, action: sigaction)]

    /// Starts to catch the signals; those that arrive from now on are kept for `next()`.
    ///
    /// - Throws: `SystemError`: another instance exists, or the system refuses.
    package init(
        _ signals: [Int32] = [SignalWaiter.interrupt, SignalWaiter.terminate],
        ioThread: IOThread = .shared
    ) throws(SystemError) {
        let (readEnd, writeEnd) = try IODescriptor.makePipe()
        let outcome = signalWriter.compareExchange(
            expected: -1, desired: writeEnd, ordering: .sequentiallyConsistent)
        guard outcome.exchanged else {
            systemClose(readEnd)
            systemClose(writeEnd)
            throw SystemError(
                call: "sigaction", errno: EBUSY,
                explanation: "another SignalWaiter of this program is at work")
        }
        reader = IODescriptor(owning: readEnd, subject: "the signal pipe", ioThread: ioThread)
        var previous: [(signal: Int32, action: sigaction)] = []
        for signal in signals {
            var action = sigaction()
            var before = sigaction()
            #if canImport(Glibc)
                action.__sigaction_handler.sa_handler = reportSignal
            #else
                action.__sigaction_u.__sa_handler = reportSignal
            #endif
            action.sa_flags = Int32(SA_RESTART)
            sigaction(signal, &action, &before)
            previous.append((signal, before))
        }
        self.previous = previous
    }

    deinit {
        for (signal, action) in previous {
            var action = action
            sigaction(signal, &action, nil)
        }
        let writer = signalWriter.exchange(-1, ordering: .sequentiallyConsistent)
        if writer >= 0 { systemClose(writer) }
        reader.close()
    }

    /// Suspends until one of the signals arrives and returns its number.
    ///
    /// ## Ordering
    /// Signals are returned in the order of arrival, every one once; the system may merge equal ones.
    ///
    /// - Throws: `CancellationError`, `SystemError`.
    package func next() async throws -> Int32 {
        while true {
            try Task.checkCancellation()
            let signal = try reader.use("read") { number -> UInt8? in
                var byte: UInt8 = 0
                return retryingInterrupted { read(number, &byte, 1) } == 1 ? byte : nil
            }
            if let signal { return Int32(signal) }
            try await reader.waitUntil(.readable)
        }
    }
}

/// Where the handler writes; -1 when nobody waits for signals.
private let signalWriter = Atomic<Int32>(-1)

/// The handler: only calls that are allowed in a handler, and the error number is kept.
private func reportSignal(_ signal: Int32) {
    let number = currentErrno()
    let writer = signalWriter.load(ordering: .sequentiallyConsistent)
    if writer >= 0 {
        var byte = UInt8(truncatingIfNeeded: signal)
        // A full pipe holds thousands of signals nobody has read: one more changes nothing.
        _ = write(writer, &byte, 1)
    }
    setErrno(number)
}

private func setErrno(_ number: Int32) {
    errno = number
}
