import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The address of a TCP socket, as the system's calls take it.
struct SocketAddress: Sendable {
    let family: Int32
    private let bytes: [UInt8]

    init(family: Int32, bytes: UnsafeRawBufferPointer) {
        self.family = family
        self.bytes = [UInt8](bytes)
    }

    /// Lets a call such as `bind` read the address.
    func withPointer<Value>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Value) -> Value {
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("empty address") }
            return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
        }
    }

    /// The numeric host and the port.
    var hostAndPort: (host: String, port: Int) {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let code = withPointer { address, length in
            getnameinfo(
                address, length, &host, socklen_t(host.count), &port, socklen_t(port.count),
                NI_NUMERICHOST | NI_NUMERICSERV)
        }
        guard code == 0 else { return ("?", 0) }
        return (Self.text(host), Int(Self.text(port)) ?? 0)
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Asks one of the socket's own calls, `getsockname` or `getpeername`, for an address.
    static func read(
        _ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { buffer in
            guard let base = buffer.baseAddress,
                call(base.assumingMemoryBound(to: sockaddr.self), &length) == 0
            else { return nil }
            let family = Int32(base.assumingMemoryBound(to: sockaddr.self).pointee.sa_family)
            return SocketAddress(
                family: family, bytes: UnsafeRawBufferPointer(rebasing: buffer.prefix(Int(length))))
        }
    }

    /// Finds the addresses of `host` without blocking the calling thread.
    ///
    /// The look-up itself cannot be interrupted: when cancelled or late, its thread is left behind.
    static func resolve(
        host: String, port: Int, deadline: Duration?, ioThread: IOThread
    ) async throws -> [SocketAddress] {
        if let numeric = try? lookUp(host: host, port: port, flags: AI_NUMERICHOST) {
            return numeric
        }
        let found = Found()
        let wait = IOWait()
        try BlockingThreads.shared.submit {
            found.result.withLock {
                $0 = Result { () throws(SystemError) in try lookUp(host: host, port: port) }
            }
            wait.finish(.success(()))
            ioThread.forget(wait)
        }
        do {
            try await ioThread.waitFor(wait, deadline: deadline)
        } catch let error as SystemError where error.isTimeout {
            throw SystemError(
                call: "getaddrinfo", errno: error.errno, subject: "\(host):\(port)",
                explanation: "looking up the address of \(host):\(port) took too long")
        }
        guard let result = found.result.withLock({ $0 }) else {
            preconditionFailure("the look-up was reported before its result was kept")
        }
        return try result.get()
    }

    private final class Found: Sendable {
        let result = Locked<Result<[SocketAddress], SystemError>?>(nil)
    }

    /// Finds the addresses of `host`; blocks unless `AI_NUMERICHOST` is among the flags.
    static func lookUp(
        host: String, port: Int, flags: Int32 = 0
    ) throws(SystemError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_flags = flags | AI_NUMERICSERV
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = streamSocketType
        hints.ai_protocol = Int32(IPPROTO_TCP)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else { throw lookUpError(code, host: host, port: port) }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let address = entry.ai_addr {
                let bytes = UnsafeRawBufferPointer(start: address, count: Int(entry.ai_addrlen))
                addresses.append(SocketAddress(family: entry.ai_family, bytes: bytes))
            }
            next = entry.ai_next
        }
        return addresses
    }

    private static func lookUpError(_ code: Int32, host: String, port: Int) -> SystemError {
        let number = code == EAI_SYSTEM ? currentErrno() : 0
        let reason =
            number == 0 ? String(cString: gai_strerror(code)) : SystemError.text(of: number)
        return SystemError(
            call: "getaddrinfo", errno: number, subject: "\(host):\(port)",
            explanation: "the address of \(host):\(port) was not found: \(reason) (getaddrinfo)")
    }
}

#if canImport(Glibc)
    let streamSocketType = Int32(SOCK_STREAM.rawValue)
#else
    let streamSocketType = SOCK_STREAM
#endif
