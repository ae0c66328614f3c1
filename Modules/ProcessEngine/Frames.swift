package import BatchEngine

/// Messages cut into frames, as they travel between driver and worker.
///
/// The layout is in `Docs/Formats/WorkerProtocol.md`. What a peer sends is never trusted: a frame
/// that breaks the rules is an error, and its sender is given up.
package enum Frames {
    /// What a message is.
    package enum Kind: UInt8, Sendable {
        /// A worker says who it is.
        case hello = 1
        /// The driver takes it.
        case welcome = 2
        /// A task to run.
        case task = 3
        /// What a task gave.
        case outcome = 4
        /// Why a task failed.
        case failure = 5
        /// A service to run in place of tasks.
        case service = 6
        /// What a service and the driver say to each other.
        case message = 7
    }

    /// A whole message.
    package struct Message: Sendable {
        package let kind: Kind
        package let payload: [UInt8]

        package init(_ kind: Kind, _ payload: [UInt8]) {
            self.kind = kind
            self.payload = payload
        }
    }

    /// The most bytes of a message that one frame carries.
    package static let payloadMaximum = 256 << 10
    /// The most bytes of a message.
    package static let messageMaximum = 1 << 30
    static let headerBytes = 8
    static let mark: UInt16 = 0x5344
}

/// A peer broke the protocol.
package struct WorkerProtocolError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// A message cut into frames, sent from where it lies.
package struct FramedMessage: BytesInTwos {
    private static let span = Frames.headerBytes + Frames.payloadMaximum

    private let message: Frames.Message
    private let frameCount: Int

    /// How many bytes all frames have.
    package var byteCount: Int { message.payload.count + frameCount * Frames.headerBytes }

    /// Cuts a message into frames.
    ///
    /// - Parameter maximum: the most bytes of its payload.
    /// - Throws: ``EngineError`` `.badArgument` for a message that is too long, as it is each time.
    package init(
        _ message: Frames.Message, maximum: Int = Frames.messageMaximum
    ) throws(EngineError) {
        let count = message.payload.count
        guard count <= maximum else {
            throw EngineError(
                .badArgument,
                "the \(message.kind) between driver and worker has \(count) bytes, it may have "
                    + "\(maximum): use more partitions")
        }
        self.message = message
        frameCount = max(1, (count + Frames.payloadMaximum - 1) / Frames.payloadMaximum)
    }

    /// Calls `body` with what is left of a frame's header and of its payload.
    package func withTwo<Value>(
        at position: Int,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value {
        let (index, offset) = position.quotientAndRemainder(dividingBy: Self.span)
        let start = index * Frames.payloadMaximum
        let end = min(start + Frames.payloadMaximum, message.payload.count)
        var writer = ByteWriter(reservingCapacity: Frames.headerBytes)
        writer.writeFixed(Frames.mark)
        writer.writeByte(message.kind.rawValue)
        writer.writeByte(index == frameCount - 1 ? 1 : 0)
        writer.writeFixed(UInt32(end - start))
        let header = writer.bytes
        let headerOffset = min(offset, Frames.headerBytes)
        return try message.payload.withUnsafeBytes { payload in
            let part = UnsafeRawBufferPointer(
                rebasing: payload[start + offset - headerOffset..<end])
            return try header.withUnsafeBytes { header in
                let header = UnsafeRawBufferPointer(rebasing: header[headerOffset...])
                return header.isEmpty ? try body(part, header) : try body(header, part)
            }
        }
    }

    /// All frames in one piece.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        while bytes.count < byteCount {
            withTwo(at: bytes.count) { first, second in
                bytes += first
                bytes += second
            }
        }
        return bytes
    }
}

/// Puts messages together from bytes as they arrive, each byte where it is to stay.
package struct FrameReader: Sendable {
    private var header = [UInt8](repeating: 0, count: Frames.headerBytes)
    private var headerFilled = 0
    /// The frame whose payload is being received.
    private var frame: (kind: Frames.Kind, isLast: Bool)?
    /// The kind of the message that is being received.
    private var kind: Frames.Kind?
    private var payload: [UInt8] = []
    private var filled = 0
    private var lastCount = 0

    package init() {}

    /// Has bytes put where they belong, once.
    ///
    /// - Parameter receive: given a buffer that is not empty; says how much it put there.
    /// - Returns: what `receive` returned.
    package mutating func fill(_ receive: SocketReceive) throws(SystemError) -> Int {
        let count: Int
        if frame == nil {
            count = try Self.receive(into: &header, from: headerFilled, receive)
            headerFilled += count
        } else {
            count = try Self.receive(into: &payload, from: filled, receive)
            filled += count
        }
        return count
    }

    private static func receive(
        into bytes: inout [UInt8], from start: Int, _ receive: SocketReceive
    ) throws(SystemError) -> Int {
        let result = bytes.withUnsafeMutableBytes { room in
            Result { () throws(SystemError) in
                try receive(UnsafeMutableRawBufferPointer(rebasing: room[start...]))
            }
        }
        return try result.get()
    }

    /// The message that is whole after ``fill(_:)``; nil: more bytes are needed.
    ///
    /// - Throws: ``WorkerProtocolError`` for bytes that are no frame.
    package mutating func next() throws(WorkerProtocolError) -> Frames.Message? {
        if frame == nil {
            guard headerFilled == Frames.headerBytes else { return nil }
            try begin()
        }
        guard let frame, filled == payload.count else { return nil }
        self.frame = nil
        headerFilled = 0
        guard frame.isLast else { return nil }
        defer {
            kind = nil
            lastCount = filled
            payload = []
            filled = 0
        }
        return Frames.Message(frame.kind, payload)
    }

    /// The messages that bytes complete, for bytes that are at hand.
    package mutating func messages(
        in bytes: [UInt8]
    ) throws(WorkerProtocolError) -> [Frames.Message] {
        var messages: [Frames.Message] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            _ = try? fill { room throws(SystemError) in
                let part = rest.prefix(room.count)
                room.copyBytes(from: part)
                rest = rest.dropFirst(part.count)
                return part.count
            }
            if let message = try next() { messages.append(message) }
        }
        return messages
    }

    /// Makes room for the frame whose header has come.
    private mutating func begin() throws(WorkerProtocolError) {
        let (found, isLast, length) = try readHeader()
        guard kind == nil || kind == found else {
            throw WorkerProtocolError("a frame of another message came in between")
        }
        guard filled + length <= Frames.messageMaximum else {
            throw WorkerProtocolError("a message is longer than \(Frames.messageMaximum) bytes")
        }
        // Messages of one stream are much alike: growing step by step would copy them once more.
        if kind == nil, !isLast { payload.reserveCapacity(lastCount) }
        kind = found
        frame = (found, isLast)
        payload.append(contentsOf: repeatElement(0, count: length))
    }

    private func readHeader() throws(WorkerProtocolError) -> (Frames.Kind, Bool, Int) {
        let (mark, length) = header.withUnsafeBytes { bytes in
            (
                UInt16(littleEndian: bytes.loadUnaligned(as: UInt16.self)),
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            )
        }
        guard mark == Frames.mark, header[3] <= 1, let kind = Frames.Kind(rawValue: header[2])
        else { throw WorkerProtocolError("bytes came that are no frame") }
        guard length <= UInt32(Frames.payloadMaximum) else {
            throw WorkerProtocolError(
                "a frame of \(length) bytes came; it may have \(Frames.payloadMaximum)")
        }
        // Frames without end would keep the other side waiting for a message that never comes.
        guard header[3] == 1 || length == UInt32(Frames.payloadMaximum) else {
            throw WorkerProtocolError("a frame of \(length) bytes is not the last of its message")
        }
        return (kind, header[3] == 1, Int(length))
    }
}
