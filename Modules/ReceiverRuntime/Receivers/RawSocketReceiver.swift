public import BatchEngine

/// Receives blocks of elements that are encoded already, each with its length in front.
///
/// A frame is four bytes of length, the highest first, and then elements as `StreamCodable` writes
/// them, back to back. Each frame becomes one block, and so one partition of a batch; frames
/// without bytes keep a connection alive and make no block. Of frames that arrive faster than they
/// are stored, small ones share blocks.
///
/// A frame whose elements do not fit into one block becomes several, each stored before more of it is
/// decoded. So memory is bounded by what elements take, and not by the length of a frame. Only
/// one element must fit into `receivedBytesLimit` as a whole.
///
/// A length below zero or above the limit, or bytes that are not elements, end the connection with
/// an error; the receiver is started again after the restart delay. Frames are decoded when they
/// arrive: of a frame that one block can hold, what a peer sent by mistake never reaches a batch.
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
        var decoder = FrameDecoder<Element>(
            maxFrameBytes: maxBlockSizeBytes ?? output.configuration.rawMaxBlockSizeBytes,
            output.configuration)
        while let bytes = try await connection.read() {
            decoder.append(bytes)
            while let block = try next(&decoder) {
                try await output.store(block: block.elements, byteCount: block.byteCount)
            }
            // Whatever the peer sends: others are served in between, and a stop is noticed.
            await Task.yield()
            try Task.checkCancellation()
        }
        guard decoder.isBetweenFrames else {
            throw ReceiverError(
                .badFrame, "\(host):\(port) ended the connection in the middle of a frame")
        }
        throw ReceiverError(.connectionEnded, "\(host):\(port) ended the connection")
    }

    private func next(
        _ decoder: inout FrameDecoder<Element>
    ) throws(ReceiverError) -> FrameDecoder<Element>.Block? {
        do { return try decoder.next() } catch {
            throw ReceiverError(
                .badFrame, "\(host):\(port) sent \(error.message)", underlying: error.underlying)
        }
    }
}
