public import BatchEngine

/// Receives blocks of elements that are encoded already, each with its length in front.
///
/// A frame is four bytes of length, the highest first, and then elements as `StreamCodable` writes
/// them, back to back. Each frame becomes one block, and so one partition of a batch; frames
/// without bytes keep a connection alive and make no block.
///
/// A length below zero or above the limit, or bytes that are not elements, end the connection with
/// an error; the receiver is started again after the restart delay. Frames are decoded when they
/// arrive: what a peer sent by mistake never reaches a batch.
public struct RawSocketReceiver<Element: StreamCodable>: Receiver {
    /// A name or numeric address.
    public let host: String
    /// 1 to 65535.
    public let port: Int
    /// The longest frame in bytes; nil: as configured for all receivers.
    public let maxBlockSizeBytes: Int?
    /// Where received blocks are kept.
    public let storageLevel: StorageLevel
    /// How long connecting may take.
    public let connectTimeout: Duration

    /// Creates a receiver.
    ///
    /// - Parameters:
    ///   - host: a name or numeric address.
    ///   - port: 1 to 65535.
    ///   - maxBlockSizeBytes: the longest frame in bytes; nil: as configured for all receivers.
    ///   - storageLevel: where received blocks are kept.
    ///   - connectTimeout: how long connecting may take.
    public init(
        host: String, port: Int, maxBlockSizeBytes: Int? = nil,
        storageLevel: StorageLevel = .memoryOnly, connectTimeout: Duration = .seconds(10)
    ) {
        self.host = host
        self.port = port
        self.maxBlockSizeBytes = maxBlockSizeBytes
        self.storageLevel = storageLevel
        self.connectTimeout = connectTimeout
    }

    /// Connects and receives until the connection ends.
    public func run(_ output: ReceiverOutput<Element>) async throws {
        let connection = try await TCPConnection.connect(
            host: host, port: port, timeout: connectTimeout)
        defer { connection.close() }
        var splitter = FrameSplitter(
            maxFrameBytes: maxBlockSizeBytes ?? output.configuration.rawMaxBlockSizeBytes)
        while let bytes = try await connection.read() {
            splitter.append(bytes)
            while let frame = try nextFrame(&splitter) {
                guard !frame.isEmpty else { continue }
                try await output.store(block: try elements(of: frame))
            }
        }
        guard splitter.isBetweenFrames else {
            throw ReceiverError(
                .badFrame, "\(host):\(port) ended the connection in the middle of a frame")
        }
        throw ReceiverError(.connectionEnded, "\(host):\(port) ended the connection")
    }

    private func nextFrame(
        _ splitter: inout FrameSplitter
    ) throws(ReceiverError) -> ArraySlice<UInt8>? {
        do { return try splitter.next() } catch {
            throw ReceiverError(.badFrame, "\(host):\(port) sent \(error.message)")
        }
    }

    private func elements(of frame: ArraySlice<UInt8>) throws -> [Element] {
        do {
            return try frame.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                var elements: [Element] = []
                while !reader.isAtEnd {
                    let offset = reader.offset
                    elements.append(try Element.decode(from: &reader))
                    guard reader.offset > offset else {
                        throw ReceiverError(.badFrame, "elements without bytes")
                    }
                }
                return elements
            }
        } catch {
            throw ReceiverError(
                .badFrame, "\(host):\(port) sent a frame that does not hold \(Element.self)",
                underlying: error)
        }
    }
}
