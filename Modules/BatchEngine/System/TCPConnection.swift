#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A TCP connection that never blocks a thread.
///
/// A peer that is gone without a word, with its machine or the way to it, is noticed by keep-alive:
/// after 60 s without a byte it is asked every 10 s, and after 6 questions without an answer, two
/// minutes in all, reading fails.
///
/// ## Isolation
/// May be used from any task. At most one task reads and at most one writes at a time; what two
/// concurrent readers get is not defined, but nothing breaks.
///
/// ## Cancellation
/// A suspended read or write ends with `CancellationError`; the connection stays open. Bytes of a
/// cancelled `writeAll` may have been sent in part.
package final class TCPConnection: Sendable {
    /// What a read that does not wait came to.
    package enum Received: Equatable, Sendable {
        /// So many bytes, at least one, were read.
        case bytes(Int)
        /// Nothing has arrived: wait with `waitReadable()`.
        case nothingYet
        /// The peer has sent all it will send.
        case end
    }

    private let descriptor: IODescriptor
    private let subject: String
    /// The numeric address of the other side.
    package let peerHost: String
    /// The port of the other side.
    package let peerPort: Int
    /// The port of this side.
    package let localPort: Int
    /// Whether both sides are this one: where nobody listens, TCP may connect a socket to itself.
    private let isToItself: Bool

    /// Takes over a connected socket; `name` is how errors name the peer, its address by default.
    init(_ descriptor: IODescriptor, name: String?) throws(SystemError) {
        let (peer, local) = try descriptor.use("getpeername") { number in
            Self.setOption(number, Int32(IPPROTO_TCP), TCP_NODELAY)
            Self.keepAlive(number)
            #if canImport(Darwin)
                Self.setOption(number, SOL_SOCKET, SO_NOSIGPIPE)
            #endif
            return (
                SocketAddress.read { getpeername(number, $0, $1) }?.hostAndPort,
                SocketAddress.read { getsockname(number, $0, $1) }?.hostAndPort
            )
        }
        self.descriptor = descriptor
        peerHost = peer?.host ?? "?"
        peerPort = peer?.port ?? 0
        localPort = local?.port ?? 0
        isToItself = peer != nil && peer?.port == local?.port && peer?.host == local?.host
        subject = name ?? "\(peer?.host ?? "?"):\(peer?.port ?? 0)"
    }

    // MARK: Connecting

    /// Connects to the first address of `host` that answers.
    ///
    /// - Parameters:
    ///   - host: A name or a numeric address.
    ///   - port: 1 to 65535.
    ///   - timeout: For the look-up and all addresses together.
    ///   - ioThread: Where the connection's waits are served.
    /// - Throws: `SystemError` naming host and port (a retry may be sensible), `CancellationError`.
    package static func connect(
        host: String, port: Int, timeout: Duration = .seconds(10), ioThread: IOThread = .shared
    ) async throws -> TCPConnection {
        let deadline = SystemTime.monotonic() + timeout
        let name = "\(host):\(port)"
        let addresses = try await SocketAddress.resolve(
            host: host, port: port, deadline: deadline, ioThread: ioThread)
        var failure = SystemError(call: "connect", errno: EADDRNOTAVAIL, subject: name)
        for (index, address) in addresses.enumerated() {
            // The time left is shared out, so that a silent address leaves some for the next.
            let now = SystemTime.monotonic()
            let share = now + (deadline - now) / (addresses.count - index)
            do {
                return try await connect(to: address, name: name, until: share, ioThread)
            } catch let error as SystemError {
                failure = error
            }
        }
        let reason = SystemError.text(of: failure.errno)
        throw SystemError(
            call: failure.call, errno: failure.errno, subject: name,
            explanation:
                "cannot connect to \(name): \(reason) (\(failure.call), errno \(failure.errno))")
    }

    private static func connect(
        to address: SocketAddress, name: String, until deadline: Duration, _ ioThread: IOThread
    ) async throws -> TCPConnection {
        let number = socket(address.family, streamSocketType, 0)
        guard number >= 0 else { throw SystemError.last("socket", name) }
        let descriptor = IODescriptor(owning: number, subject: name, ioThread: ioThread)
        try IODescriptor.prepare(number, name)
        let code = address.withPointer { systemConnect(number, $0, $1) }
        if code != 0 {
            guard code == EINPROGRESS || code == EINTR else {
                throw SystemError(call: "connect", errno: code, subject: name)
            }
            try await descriptor.waitUntil(.writable, deadline: deadline)
            let outcome = try descriptor.use("connect") { number in pendingError(number) }
            guard outcome == 0 else {
                throw SystemError(call: "connect", errno: outcome, subject: name)
            }
        }
        let connection = try TCPConnection(descriptor, name: name)
        guard !connection.isToItself else {
            connection.close()
            throw SystemError(call: "connect", errno: ECONNREFUSED, subject: name)
        }
        return connection
    }

    private static func pendingError(_ number: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else {
            return currentErrno()
        }
        return code
    }

    private static let keepAliveSeconds = (idle: Int32(60), interval: Int32(10))
    private static let keepAliveQuestions: Int32 = 6

    private static func keepAlive(_ number: Int32) {
        setOption(number, SOL_SOCKET, SO_KEEPALIVE)
        let level = Int32(IPPROTO_TCP)
        setOption(number, level, keepAliveIdle, keepAliveSeconds.idle)
        setOption(number, level, TCP_KEEPINTVL, keepAliveSeconds.interval)
        setOption(number, level, TCP_KEEPCNT, keepAliveQuestions)
    }

    /// After how long a peer that does not answer is given up, as the system has it; nil: never.
    package var silenceMaximum: Duration? {
        let values = try? descriptor.use("getsockopt") { number in
            let level = Int32(IPPROTO_TCP)
            return [
                (SOL_SOCKET, SO_KEEPALIVE), (level, keepAliveIdle), (level, TCP_KEEPINTVL),
                (level, TCP_KEEPCNT),
            ].map { level, option -> Int32 in
                var value: Int32 = 0
                var length = socklen_t(MemoryLayout<Int32>.size)
                return getsockopt(number, level, option, &value, &length) == 0 ? value : 0
            }
        }
        guard let values, values[0] != 0 else { return nil }
        return .seconds(Int64(values[1]) + Int64(values[2]) * Int64(values[3]))
    }

    private static func setOption(
        _ number: Int32, _ level: Int32, _ option: Int32, _ value: Int32 = 1
    ) {
        // These options tune the socket: without them it still works.
        var value = value
        setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    // MARK: Reading

    /// Reads what has arrived straight into `buffer`, without waiting.
    ///
    /// - Precondition: `buffer` is not empty.
    /// - Throws: `SystemError`: closed on this side, or the connection was lost.
    package func receive(
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(SystemError) -> Received {
        precondition(!buffer.isEmpty, "receiving needs room")
        return try descriptor.use("recv") { number throws(SystemError) in
            let count = retryingInterrupted { recv(number, buffer.baseAddress, buffer.count, 0) }
            if count > 0 { return .bytes(count) }
            if count == 0 {
                // What closes here shuts down first, which reads like the peer's end.
                if descriptor.isClosing { throw SystemError.closed("recv", subject) }
                return .end
            }
            let code = currentErrno()
            if code == EAGAIN || code == EWOULDBLOCK { return .nothingYet }
            throw SystemError(call: "recv", errno: code, subject: subject)
        }
    }

    /// Suspends until `receive` has something to say.
    package func waitReadable() async throws {
        try await descriptor.waitUntil(.readable)
    }

    /// Reads at least one byte, waiting when nothing has arrived.
    ///
    /// - Parameter count: The most bytes to return, at least 1.
    /// - Returns: The bytes, or `nil` when the peer has sent all it will send.
    /// - Throws: `SystemError` when the connection was lost or closed, `CancellationError`.
    package func read(atMost count: Int = 256 << 10) async throws -> [UInt8]? {
        while true {
            var outcome = Received.nothingYet
            let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                outcome = try receive(into: UnsafeMutableRawBufferPointer(buffer))
                if case .bytes(let received) = outcome { filled = received }
            }
            switch outcome {
            case .bytes(let received):
                // A few bytes do not keep a large buffer alive.
                return received < count / 4 ? bytes.withUnsafeBytes { [UInt8]($0) } : bytes
            case .end: return nil
            case .nothingYet: try await waitReadable()
            }
        }
    }

    // MARK: Writing

    /// Sends all bytes, suspending while the peer does not take them.
    ///
    /// - Throws: `SystemError` when the connection was lost or closed (part may have been sent),
    ///   `CancellationError`.
    package func writeAll(_ bytes: [UInt8]) async throws {
        var sent = 0
        while sent < bytes.count {
            let count = try bytes.withUnsafeBufferPointer { buffer throws(SystemError) in
                try send(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[sent...])))
            }
            if let count { sent += count } else { try await descriptor.waitUntil(.writable) }
        }
    }

    /// Sends what the system takes now; `nil` when it takes nothing.
    private func send(_ buffer: UnsafeRawBufferPointer) throws(SystemError) -> Int? {
        try descriptor.use("send") { number throws(SystemError) in
            let count = retryingInterrupted {
                systemSend(number, buffer.baseAddress, buffer.count)
            }
            if count >= 0 { return count }
            let code = currentErrno()
            if code == EAGAIN || code == EWOULDBLOCK { return nil }
            throw SystemError(call: "send", errno: code, subject: subject)
        }
    }

    /// Tells the peer that no more bytes will come; reading goes on.
    package func endWriting() throws(SystemError) {
        try descriptor.use("shutdown") { number throws(SystemError) in
            if shutdown(number, Int32(SHUT_WR)) != 0 {
                throw SystemError.last("shutdown", subject)
            }
        }
    }

    /// Closes both directions; suspended reads and writes end with an error.
    ///
    /// Later calls change nothing.
    package func close() { descriptor.close() }
}

/// The system's `connect`, under a name that methods called `connect` do not hide; 0 or an errno.
private func systemConnect(
    _ number: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t
) -> Int32 {
    connect(number, address, length) == 0 ? 0 : currentErrno()
}

/// The system's `send`, never raising SIGPIPE.
private func systemSend(_ number: Int32, _ base: UnsafeRawPointer?, _ count: Int) -> Int {
    #if canImport(Glibc)
        return send(number, base, count, Int32(MSG_NOSIGNAL))
    #else
        return send(number, base, count, 0)
    #endif
}

#if canImport(Glibc)
    private let keepAliveIdle = TCP_KEEPIDLE
#else
    private let keepAliveIdle = TCP_KEEPALIVE
#endif
