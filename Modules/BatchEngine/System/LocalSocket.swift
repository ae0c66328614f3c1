import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A socket in the file system at which processes of this machine connect.
package final class LocalListener: Sendable {
    /// How many bytes the path of a socket may have on every system.
    package static let pathMaximum = 103

    private let descriptor: IODescriptor
    private let ioThread: IOThread
    /// Where the socket is.
    package let path: String

    /// Listens at a path that does not exist yet.
    ///
    /// - Throws: `SystemError`, also when the path is too long.
    package init(path: String, ioThread: IOThread = .shared) throws(SystemError) {
        let number = try localSocket(path)
        descriptor = IODescriptor(owning: number, subject: path, ioThread: ioThread)
        try IODescriptor.prepare(number, path)
        let code = try withLocalAddress(path) { bind(number, $0, $1) == 0 ? 0 : currentErrno() }
        guard code == 0 else { throw SystemError(call: "bind", errno: code, subject: path) }
        guard listen(number, 4) == 0 else { throw SystemError.last("listen", path) }
        self.path = path
        self.ioThread = ioThread
    }

    /// Suspends until a connection comes in, at most until a reading of `SystemTime.monotonic()`.
    ///
    /// - Throws: `SystemError` when closed or late, `CancellationError`.
    package func accept(deadline: Duration) async throws -> LocalConnection {
        while true {
            let number = try descriptor.use("accept") { listener throws(SystemError) in
                let number = retryingInterrupted { systemAccept(listener) }
                let code = currentErrno()
                if number < 0, code != EAGAIN, code != EWOULDBLOCK, code != ECONNABORTED {
                    throw SystemError(call: "accept", errno: code, subject: path)
                }
                return number
            }
            guard number >= 0 else {
                try await descriptor.waitUntil(.readable, deadline: deadline)
                continue
            }
            let connection = IODescriptor(owning: number, subject: path, ioThread: ioThread)
            try IODescriptor.prepare(number, path)
            forbidSignals(number)
            return LocalConnection(connection, path)
        }
    }

    /// Stops listening; the socket's file is the caller's to remove.
    package func close() { descriptor.close() }
}

/// A connection to a process of this machine that never blocks a thread.
///
/// ## Isolation
/// May be used from any task; at most one reads and at most one writes at a time.
package final class LocalConnection: Sendable {
    private let descriptor: IODescriptor
    private let subject: String

    init(_ descriptor: IODescriptor, _ subject: String) {
        self.descriptor = descriptor
        self.subject = subject
    }

    /// Receives into memory of the caller's, once, waiting when nothing has arrived.
    ///
    /// - Parameters:
    ///   - deadline: a reading of `SystemTime.monotonic()`; nil: none.
    ///   - fill: given what receives into a buffer that is not empty, and says how much came.
    /// - Returns: how many bytes came; 0 when the peer has ended.
    /// - Throws: `SystemError` when the connection was lost, closed or late, `CancellationError`.
    package func receive(
        deadline: Duration?,
        _ fill: (SocketReceive) throws(SystemError) -> Int
    ) async throws -> Int {
        while true {
            // Read before: what the peer has sent is there when its end is known.
            let hasPeerEnded = descriptor.hasPeerEnded
            var isEarly = false
            let count = try descriptor.use("recv") { number throws(SystemError) in
                try fill { room throws(SystemError) in
                    let count = retryingInterrupted {
                        recv(number, room.baseAddress, room.count, 0)
                    }
                    if count >= 0 { return count }
                    let code = currentErrno()
                    guard code == EAGAIN || code == EWOULDBLOCK else {
                        throw SystemError(call: "recv", errno: code, subject: subject)
                    }
                    isEarly = true
                    return 0
                }
            }
            if !isEarly || hasPeerEnded { return count }
            try await descriptor.waitUntil(.readable, deadline: deadline)
        }
    }

    /// Sends all bytes, suspending while the peer does not take them.
    ///
    /// - Parameter deadline: a reading of `SystemTime.monotonic()`; nil: none.
    /// - Throws: as ``receive(deadline:_:)``; part may have been sent.
    package func writeAll(_ bytes: some BytesInTwos, deadline: Duration?) async throws {
        var sent = 0
        while sent < bytes.byteCount {
            let count = try bytes.withTwo(at: sent) { first, second in
                try descriptor.use("send") { number throws(SystemError) in
                    let count = retryingInterrupted { sendQuietly(number, first, second) }
                    if count >= 0 { return count }
                    let code = currentErrno()
                    if code == EAGAIN || code == EWOULDBLOCK { return 0 }
                    throw SystemError(call: "send", errno: code, subject: subject)
                }
            }
            sent += count
            guard count == 0 else { continue }
            if descriptor.hasPeerEnded {
                throw SystemError(call: "send", errno: EPIPE, subject: subject)
            }
            try await descriptor.waitUntil(.writable, deadline: deadline)
        }
    }

    /// Notes that the process of the other side has ended: what it has sent is still received, and
    /// nothing more is waited for, even if a process that it has started holds the socket open.
    package func notePeerEnd() { descriptor.notePeerEnd() }

    /// Closes both directions; suspended calls end with an error.
    package func close() { descriptor.close() }
}

/// A connection whose calls block their thread: for a process that has nothing else to do.
package final class BlockingConnection: Sendable {
    private let number: Int32
    private let path: String

    /// Connects to a socket.
    package init(path: String) throws(SystemError) {
        let number = try localSocket(path)
        let code = try withLocalAddress(path) { address, length in
            connect(number, address, length) == 0 ? 0 : currentErrno()
        }
        guard code == 0, fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else {
            systemClose(number)
            throw SystemError(call: "connect", errno: code, subject: path)
        }
        self.number = number
        self.path = path
    }

    deinit { systemClose(number) }

    /// Receives into memory that is not empty, once; 0 when the peer has ended.
    package func receive(_ room: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        let count = retryingInterrupted { recv(number, room.baseAddress, room.count, 0) }
        guard count >= 0 else { throw SystemError.last("recv", path) }
        return count
    }

    /// Sends all bytes.
    package func writeAll(_ bytes: some BytesInTwos) throws(SystemError) {
        var sent = 0
        while sent < bytes.byteCount {
            let count = bytes.withTwo(at: sent) { first, second in
                retryingInterrupted { sendQuietly(number, first, second) }
            }
            guard count >= 0 else { throw SystemError.last("send", path) }
            sent += count
        }
    }
}

/// Receives into a buffer and returns how many bytes came.
package typealias SocketReceive = (UnsafeMutableRawBufferPointer) throws(SystemError) -> Int

/// Bytes to send that lie in several places, two of which follow each other at any position.
package protocol BytesInTwos: Sendable {
    /// How many bytes there are.
    var byteCount: Int { get }
    /// Calls `body` with bytes from a position below ``byteCount`` on, in two parts of which the
    /// second may be empty; there may be more after them.
    func withTwo<Value>(
        at position: Int,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value
}

extension [UInt8]: BytesInTwos {
    package var byteCount: Int { count }

    package func withTwo<Value>(
        at position: Int,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value {
        try withUnsafeBytes { bytes in
            try body(
                UnsafeRawBufferPointer(rebasing: bytes[position...]),
                UnsafeRawBufferPointer(start: nil, count: 0))
        }
    }
}

private func localSocket(_ path: String) throws(SystemError) -> Int32 {
    guard path.utf8.count <= LocalListener.pathMaximum else {
        throw SystemError(
            call: "bind", errno: ENAMETOOLONG, subject: path,
            explanation: "the path of a socket may have \(LocalListener.pathMaximum) bytes and "
                + "\(path) has \(path.utf8.count); set TMPDIR to a shorter one")
    }
    #if canImport(Glibc)
        let number = socket(AF_UNIX, streamSocketType | Int32(SOCK_CLOEXEC.rawValue), 0)
    #else
        let number = socket(AF_UNIX, streamSocketType, 0)
    #endif
    guard number >= 0 else { throw SystemError.last("socket", path) }
    forbidSignals(number)
    return number
}

/// Has sending to a peer that is gone fail without SIGPIPE where a call cannot ask for that.
private func forbidSignals(_ number: Int32) {
    #if canImport(Darwin)
        var isOn: Int32 = 1
        setsockopt(
            number, SOL_SOCKET, SO_NOSIGPIPE, &isOn, socklen_t(MemoryLayout<Int32>.size))
    #endif
}

private func withLocalAddress(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
) throws(SystemError) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { room in
        // One byte stays 0 and ends the path.
        room.copyBytes(from: path.utf8.prefix(room.count - 1))
    }
    let length = socklen_t(MemoryLayout<sockaddr_un>.size)
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
}

private func systemAccept(_ listener: Int32) -> Int32 {
    accept(listener, nil, nil)
}

/// Sends two runs of bytes with one call, never raising SIGPIPE.
private func sendQuietly(
    _ number: Int32, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
) -> Int {
    var parts = (vector(first), vector(second))
    return withUnsafeMutableBytes(of: &parts) { parts in
        var message = msghdr()
        message.msg_iov = parts.baseAddress?.assumingMemoryBound(to: iovec.self)
        message.msg_iovlen = second.isEmpty ? 1 : 2
        #if canImport(Glibc)
            return sendmsg(number, &message, Int32(MSG_NOSIGNAL))
        #else
            return sendmsg(number, &message, 0)
        #endif
    }
}

private func vector(_ bytes: UnsafeRawBufferPointer) -> iovec {
    iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
}
