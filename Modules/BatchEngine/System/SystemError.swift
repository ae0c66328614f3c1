#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A system call that failed: which call, on what, and why.
package struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The system's error number; 0 when the failing call reports errors in another way.
    package let errno: Int32
    /// The name of the call, such as `connect` or `rename`.
    package let call: String
    /// What the call was about: a path, or `host:port`; empty when there is nothing to name.
    package let subject: String
    /// A sentence for the reader, used instead of the system's own text.
    package let explanation: String?

    /// Records a failed call.
    ///
    /// - Parameters:
    ///   - call: The name of the call.
    ///   - errno: The system's error number, 0 when there is none.
    ///   - subject: A path or `host:port`.
    ///   - explanation: Replaces the system's text when that would not help the reader.
    package init(call: String, errno: Int32, subject: String = "", explanation: String? = nil) {
        self.errno = errno
        self.call = call
        self.subject = subject
        self.explanation = explanation
    }

    /// Refuses a path that the system would take for the part of it before a NUL.
    package static func refuseNull(
        in path: String, _ call: @autoclosure () -> String
    ) throws(SystemError) {
        guard path.utf8.contains(0) else { return }
        let parts = path.split(separator: "\0", omittingEmptySubsequences: false)
        let shown = parts.joined(separator: "\\0")
        throw SystemError(
            call: call(), errno: 0, subject: shown,
            explanation: "\(shown) is no path, as it holds a NUL character; take that out")
    }

    /// Records the failure of the call just made by this thread.
    ///
    /// The error number is read here: make no other call before.
    package static func last(_ call: String, _ subject: @autoclosure () -> String) -> SystemError {
        let number = currentErrno()
        return SystemError(call: call, errno: number, subject: subject())
    }

    /// The system's text for the error number, with the number.
    package var reason: String { explanation ?? "\(SystemError.text(of: errno)), errno \(errno)" }

    /// Says what happened, with the subject, the call and the error number.
    package var description: String {
        if let explanation { return explanation }
        let text = SystemError.text(of: errno)
        let about = subject.isEmpty ? "" : "\(subject): "
        return "\(about)\(text) (\(call), errno \(errno))"
    }

    /// Whether nobody listens at the address.
    package var isConnectionRefused: Bool { errno == ECONNREFUSED }
    /// Whether the other side ended the connection in the middle of something.
    package var isConnectionLost: Bool { errno == ECONNRESET || errno == EPIPE }
    /// Whether a deadline passed.
    package var isTimeout: Bool { errno == ETIMEDOUT }
    /// Whether the address is held by another program.
    package var isAddressInUse: Bool { errno == EADDRINUSE }
    /// Whether the descriptor was closed on this side, while waiting or before.
    package var isClosed: Bool { errno == EBADF }
    /// Whether the device could not read what it holds.
    package var isUnreadable: Bool {
        errno == EIO && ["read", "pread"].contains(call)
    }
    /// Whether a link was met where none is followed.
    package var isLink: Bool { errno == ELOOP }
    /// Whether the file or directory does not exist.
    package var isNotFound: Bool { errno == ENOENT }
    /// Whether the file or directory exists already.
    package var isAlreadyThere: Bool { errno == EEXIST }

    /// Whether the disk, or the writer's share of it, is full.
    package var isDiskFull: Bool { errno == ENOSPC || errno == EDQUOT }
    /// Whether the file system can only be read.
    package var isReadOnly: Bool { errno == EROFS }
    /// Whether this program may not do that.
    package var isDenied: Bool { errno == EACCES || errno == EPERM }

    static func closed(_ call: String, _ subject: String) -> SystemError {
        let what = subject.isEmpty ? "the descriptor" : subject
        return SystemError(
            call: call, errno: EBADF, subject: subject,
            explanation: "\(what) was closed on this side (\(call))")
    }

    /// The system's text for an error number.
    static func text(of number: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let base = buffer.baseAddress else { return "error \(number)" }
            base.initialize(repeating: 0, count: buffer.count)
            // Glibc has two variants, one of which returns a constant instead of filling the
            // buffer; which one Swift sees depends on the headers, so the overloads take both.
            return describe(strerror_r(number, base, buffer.count), base)
        }
    }

    private static func describe(_ result: Int32, _ base: UnsafeMutablePointer<CChar>) -> String {
        String(cString: base)
    }

    private static func describe(
        _ result: UnsafeMutablePointer<CChar>?, _ base: UnsafeMutablePointer<CChar>
    ) -> String {
        String(cString: result ?? base)
    }
}

/// Forgets the error of earlier calls of this thread.
func clearErrno() {
    #if canImport(Glibc)
        Glibc.errno = 0
    #else
        Darwin.errno = 0
    #endif
}

/// This thread's error number.
func currentErrno() -> Int32 {
    #if canImport(Glibc)
        return Glibc.errno
    #else
        return Darwin.errno
    #endif
}

/// Repeats a call that a signal interrupted before it did anything.
@inline(__always)
func retryingInterrupted<Result: FixedWidthInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || currentErrno() != EINTR { return result }
    }
}
