#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A TCP port at which connections are accepted.
package final class TCPListener: Sendable {
    private let descriptor: IODescriptor
    private let ioThread: IOThread
    private let subject: String
    /// The numeric address that is listened at.
    package let host: String
    /// The port that is listened at: the one the system chose when 0 was asked for.
    package let port: Int

    private init(_ descriptor: IODescriptor, name: String, ioThread: IOThread) throws(SystemError) {
        let local = try descriptor.use("getsockname") { number in
            SocketAddress.read { getsockname(number, $0, $1) }?.hostAndPort
        }
        self.descriptor = descriptor
        self.ioThread = ioThread
        subject = name
        host = local?.host ?? "?"
        port = local?.port ?? 0
    }

    /// Listens at a port.
    ///
    /// - Parameters:
    ///   - host: A name or numeric address of this machine.
    ///   - port: 0 to 65535; 0 lets the system choose.
    ///   - backlog: How many connections may wait to be accepted.
    ///   - ioThread: Where the waits of the listener and its connections are served.
    /// - Throws: `SystemError`, `CancellationError`; `isAddressInUse` says the port is taken.
    package static func bind(
        host: String, port: Int, backlog: Int = 128, ioThread: IOThread = .shared
    ) async throws -> TCPListener {
        let name = "\(host):\(port)"
        let addresses = try await SocketAddress.resolve(
            host: host, port: port, deadline: nil, ioThread: ioThread)
        guard let address = addresses.first else {
            throw SystemError(call: "bind", errno: EADDRNOTAVAIL, subject: name)
        }
        let number = socket(address.family, streamSocketType, 0)
        guard number >= 0 else { throw SystemError.last("socket", name) }
        let descriptor = IODescriptor(owning: number, subject: name, ioThread: ioThread)
        try IODescriptor.prepare(number, name)
        var reuse: Int32 = 1
        setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        guard address.withPointer({ systemBind(number, $0, $1) }) == 0 else {
            throw failure("bind", host: host, port: port)
        }
        guard listen(number, Int32(clamping: backlog)) == 0 else {
            throw failure("listen", host: host, port: port)
        }
        return try TCPListener(descriptor, name: name, ioThread: ioThread)
    }

    private static func failure(_ call: String, host: String, port: Int) -> SystemError {
        let code = currentErrno()
        let reason: String
        switch code {
        case EADDRINUSE: reason = "port \(port) on \(host) is taken by another program"
        case EACCES: reason = "port \(port) on \(host) needs more rights than this program has"
        case EADDRNOTAVAIL: reason = "\(host) is not an address of this machine"
        default: reason = "cannot listen at \(host):\(port): \(SystemError.text(of: code))"
        }
        return SystemError(
            call: call, errno: code, subject: "\(host):\(port)",
            explanation: "\(reason) (\(call), errno \(code))")
    }

    /// Suspends until a connection comes in.
    ///
    /// ## Cancellation
    /// Ends with `CancellationError`; the listener stays open.
    ///
    /// - Throws: `SystemError` when closed or when the system has no more descriptors.
    package func accept() async throws -> TCPConnection {
        while true {
            try Task.checkCancellation()
            let number = try descriptor.use("accept") { number throws(SystemError) in
                try nextConnection(number)
            }
            guard let number else {
                try await descriptor.waitUntil(.readable)
                continue
            }
            let connection = IODescriptor(owning: number, subject: subject, ioThread: ioThread)
            try IODescriptor.prepare(number, subject)
            return try TCPConnection(connection, name: nil)
        }
    }

    /// A connection that is there already, or `nil`.
    private func nextConnection(_ listener: Int32) throws(SystemError) -> Int32? {
        let number = retryingInterrupted { systemAccept(listener) }
        if number >= 0 { return number }
        switch currentErrno() {
        case EAGAIN, EWOULDBLOCK, ECONNABORTED: return nil
        default: throw SystemError.last("accept", subject)
        }
    }

    /// Stops listening; a suspended `accept` ends with an error.
    ///
    /// Later calls change nothing.
    package func close() { descriptor.close() }
}

private func systemBind(
    _ number: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t
) -> Int32 {
    bind(number, address, length)
}

private func systemAccept(_ listener: Int32) -> Int32 { accept(listener, nil, nil) }
