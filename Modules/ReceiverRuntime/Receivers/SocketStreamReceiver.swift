public import BatchEngine

/// Makes elements of a stream of bytes, however the bytes are divided into chunks.
///
/// ```swift
/// /// Numbers of eight bytes, the highest first.
/// struct NumberDecoder: ByteStreamDecoder {
///     var rest: [UInt8] = []
///     mutating func decode(_ bytes: [UInt8], into elements: inout [UInt64]) {
///         rest += bytes
///         while rest.count >= 8 {
///             elements.append(rest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
///             rest.removeFirst(8)
///         }
///     }
/// }
/// ```
///
/// One decoder serves one connection, from its first byte to its last.
public protocol ByteStreamDecoder<Element> {
    /// What the bytes stand for.
    associatedtype Element: Sendable

    /// Takes the next bytes, at least one, and appends the elements they complete.
    ///
    /// Called for up to 256 KB at a time, so the cost of a call is shared by many elements.
    ///
    /// - Throws: when the bytes make no sense; the connection is ended then and made anew.
    mutating func decode(_ bytes: [UInt8], into elements: inout [Element]) throws

    /// Appends what is left when the other side has ended the connection; nothing by default.
    mutating func finish(into elements: inout [Element]) throws
}

extension ByteStreamDecoder {
    /// Appends nothing.
    public mutating func finish(into elements: inout [Element]) throws {}
}

/// Receives elements from a TCP server, made of its bytes by a decoder of the user's.
///
/// When the connection cannot be made or ends, or its bytes make no sense, the receiver is started
/// again after the restart delay; elements that were complete are kept.
public struct SocketStreamReceiver<Decoder: ByteStreamDecoder>: Receiver {
    /// What is received.
    public typealias Element = Decoder.Element

    /// A name or numeric address.
    public let host: String
    /// 1 to 65535.
    public let port: Int
    /// Where received blocks are kept.
    public let storageLevel: StorageLevel
    /// How long connecting may take.
    public let connectTimeout: Duration
    private let makeDecoder: @Sendable () -> Decoder

    /// Creates a receiver.
    ///
    /// - Parameters:
    ///   - host: a name or numeric address.
    ///   - port: 1 to 65535.
    ///   - storageLevel: where received blocks are kept.
    ///   - connectTimeout: how long connecting may take.
    ///   - makeDecoder: makes the decoder of a connection.
    public init(
        host: String, port: Int, storageLevel: StorageLevel = .memoryOnly,
        connectTimeout: Duration = .seconds(10), makeDecoder: @escaping @Sendable () -> Decoder
    ) {
        self.host = host
        self.port = port
        self.storageLevel = storageLevel
        self.connectTimeout = connectTimeout
        self.makeDecoder = makeDecoder
    }

    /// Connects and receives until the connection ends.
    public func run(_ output: ReceiverOutput<Element>) async throws {
        let connection = try await TCPConnection.connect(
            host: host, port: port, timeout: connectTimeout)
        defer { connection.close() }
        var decoder = makeDecoder()
        var elements: [Element] = []
        while let bytes = try await connection.read() {
            do { try decoder.decode(bytes, into: &elements) } catch {
                try await output.store(contentsOf: elements)
                throw error
            }
            try await output.store(contentsOf: elements)
            elements.removeAll(keepingCapacity: elements.count < 1024)
            // Whatever the peer sends: others are served in between, and a stop is noticed.
            await Task.yield()
            try Task.checkCancellation()
        }
        try decoder.finish(into: &elements)
        try await output.store(contentsOf: elements)
        throw ReceiverError(.connectionEnded, "\(host):\(port) ended the connection")
    }
}
