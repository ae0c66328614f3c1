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

    /// Reads at least one byte, waiting when nothing has arrived.
    ///
    /// - Parameters:
    ///   - count: the most bytes to return, at least 1.
    ///   - deadline: a reading of `SystemTime.monotonic()`; nil: none.
    /// - Returns: the bytes; none when the peer has ended.
    /// - Throws: `SystemError` when the connection was lost, closed or late, `CancellationError`.
    package func read(atMost count: Int, deadline: Duration?) async throws -> [UInt8] {
        while true {
            var isEarly = false
            let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                let received = try descriptor.use("recv") { number throws(SystemError) in
                    let received = retryingInterrupted {
                        recv(number, buffer.baseAddress, buffer.count, 0)
                    }
                    if received >= 0 { return received }
                    let code = currentErrno()
                    if code == EAGAIN || code == EWOULDBLOCK { return -1 }
                    throw SystemError(call: "recv", errno: code, subject: subject)
                }
                isEarly = received < 0
                filled = max(0, received)
            }
            if !isEarly { return bytes }
            try await descriptor.waitUntil(.readable, deadline: deadline)
        }
    }

    /// Sends all bytes, suspending while the peer does not take them.
    ///
    /// - Parameter deadline: a reading of `SystemTime.monotonic()`; nil: none.
    /// - Throws: as ``read(atMost:deadline:)``; part may have been sent.
    package func writeAll(_ bytes: [UInt8], deadline: Duration?) async throws {
        var sent = 0
        while sent < bytes.count {
            let count = try bytes.withUnsafeBytes { buffer throws(SystemError) in
                try descriptor.use("send") { number throws(SystemError) in
                    let rest = UnsafeRawBufferPointer(rebasing: buffer[sent...])
                    let count = retryingInterrupted {
                        sendQuietly(number, rest.baseAddress, rest.count)
                    }
                    if count >= 0 { return count }
                    let code = currentErrno()
                    if code == EAGAIN || code == EWOULDBLOCK { return 0 }
                    throw SystemError(call: "send", errno: code, subject: subject)
                }
            }
            sent += count
            if count == 0 { try await descriptor.waitUntil(.writable, deadline: deadline) }
        }
    }

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

    /// Reads at least one byte; none when the peer has ended.
    package func read(atMost count: Int) throws(SystemError) -> [UInt8] {
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let received = retryingInterrupted {
                recv(number, buffer.baseAddress, buffer.count, 0)
            }
            if received < 0 { code = currentErrno() }
            filled = max(0, received)
        }
        guard code == 0 else { throw SystemError(call: "recv", errno: code, subject: path) }
        return bytes
    }

    /// Sends all bytes.
    package func writeAll(_ bytes: [UInt8]) throws(SystemError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                retryingInterrupted {
                    sendQuietly(number, buffer.baseAddress.map { $0 + sent }, buffer.count - sent)
                }
            }
            guard count >= 0 else { throw SystemError.last("send", path) }
            sent += count
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
    return number
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

/// The system's `send`, never raising SIGPIPE.
private func sendQuietly(_ number: Int32, _ base: UnsafeRawPointer?, _ count: Int) -> Int {
    #if canImport(Glibc)
        send(number, base, count, Int32(MSG_NOSIGNAL))
    #else
        send(number, base, count, 0)
    #endif
}
