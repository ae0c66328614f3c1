#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The program's standard input, waited for without holding a thread.
///
/// Its mode is not changed: other programs may share it.
package final class StandardInput: Sendable {
    private static let subject = "standard input"
    private let descriptor: IODescriptor

    /// Opens a second descriptor for the input.
    ///
    /// - Parameter number: the descriptor to read; standard input by default.
    package init(_ number: Int32 = STDIN_FILENO) throws(SystemError) {
        let copy = fcntl(number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw SystemError.last("fcntl", Self.subject) }
        descriptor = IODescriptor(owning: copy, subject: Self.subject, ioThread: .shared)
    }

    /// Suspends until there are bytes, or no more will come.
    package func waitReadable() async throws { try await descriptor.waitUntil(.readable) }

    /// Reads what is there into `room`, once ``waitReadable()`` has returned; 0 at the end.
    package func read(into room: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        try descriptor.use("read") { number throws(SystemError) in
            let count = retryingInterrupted { systemRead(number, room.baseAddress, room.count) }
            guard count >= 0 else { throw SystemError.last("read", Self.subject) }
            return count
        }
    }

    /// Ends waiting; later calls throw.
    package func close() { descriptor.close() }
}

private func systemRead(_ number: Int32, _ base: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(number, base, count)
}
