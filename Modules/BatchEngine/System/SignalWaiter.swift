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

    private static let isAtWork = Atomic(false)
    /// Made once and never closed: a handler that has begun may write when the instance that it began
    /// for has gone, and would write into whatever had got the number of the descriptor by then.
    private static let pipe = Locked<IODescriptor?>(nil)

    private let reader: IODescriptor
    private let previous: [(signal: Int32, action: sigaction)]

    /// Starts to catch the signals; those that arrive from now on are kept for `next()`.
    ///
    /// - Throws: `SystemError`: another instance exists, or the system refuses.
    package init(
        _ signals: [Int32] = [SignalWaiter.interrupt, SignalWaiter.terminate]
    ) throws(SystemError) {
        guard !Self.isAtWork.exchange(true, ordering: .sequentiallyConsistent) else {
            throw SystemError(
                call: "sigaction", errno: EBUSY,
                explanation: "another SignalWaiter of this program is at work")
        }
        do {
            reader = try Self.reader()
            // What came too late for an earlier instance.
            while try Self.takeNext(reader) != nil {}
        } catch {
            Self.isAtWork.store(false, ordering: .sequentiallyConsistent)
            throw error
        }
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
        Self.isAtWork.store(false, ordering: .sequentiallyConsistent)
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
            if let signal = try Self.takeNext(reader) { return Int32(signal) }
            try await reader.waitUntil(.readable)
        }
    }

    private static func takeNext(_ reader: IODescriptor) throws(SystemError) -> UInt8? {
        try reader.use("read") { number -> UInt8? in
            var byte: UInt8 = 0
            return retryingInterrupted { read(number, &byte, 1) } == 1 ? byte : nil
        }
    }

    private static func reader() throws(SystemError) -> IODescriptor {
        try pipe.withLock { pipe throws(SystemError) in
            if let pipe { return pipe }
            let ends = try IODescriptor.makePipe()
            signalWriter.store(ends.writer, ordering: .sequentiallyConsistent)
            let reader = IODescriptor(
                owning: ends.reader, subject: "the signal pipe", ioThread: .shared)
            pipe = reader
            return reader
        }
    }
}

/// Where the handler writes.
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
