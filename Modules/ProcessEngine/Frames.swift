internal import BatchEngine

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

    /// A message as the bytes to send.
    ///
    /// - Throws: ``WorkerProtocolError`` for a message that is too long.
    package static func bytes(of message: Message) throws(WorkerProtocolError) -> [UInt8] {
        let payload = message.payload
        guard payload.count <= messageMaximum else {
            throw WorkerProtocolError(
                "a message of \(payload.count) bytes is too long, it may have \(messageMaximum): "
                    + "use more partitions")
        }
        let count = max(1, (payload.count + payloadMaximum - 1) / payloadMaximum)
        var writer = ByteWriter(reservingCapacity: payload.count + count * headerBytes)
        payload.withUnsafeBytes { payload in
            for index in 0..<count {
                let part = UnsafeRawBufferPointer(
                    rebasing: payload[
                        index * payloadMaximum..<min((index + 1) * payloadMaximum, payload.count)])
                writer.writeFixed(mark)
                writer.writeByte(message.kind.rawValue)
                writer.writeByte(index == count - 1 ? 1 : 0)
                writer.writeFixed(UInt32(part.count))
                writer.writeBytes(part)
            }
        }
        return writer.bytes
    }
}

/// A peer broke the protocol.
package struct WorkerProtocolError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// Puts messages together from bytes as they arrive.
package struct FrameReader: Sendable {
    private var pending: [UInt8] = []
    private var start = 0
    private var kind: Frames.Kind?
    private var payload: [UInt8] = []

    package init() {}

    /// Takes bytes that have arrived.
    package mutating func append(_ bytes: [UInt8]) {
        if start == pending.count {
            pending = bytes
        } else {
            pending.removeFirst(start)
            pending += bytes
        }
        start = 0
    }

    /// The next whole message; nil: more bytes are needed.
    ///
    /// - Throws: ``WorkerProtocolError`` for bytes that are no frame.
    package mutating func next() throws(WorkerProtocolError) -> Frames.Message? {
        while pending.count - start >= Frames.headerBytes {
            let (found, isLast, length) = try header()
            guard pending.count - start >= Frames.headerBytes + length else { return nil }
            guard kind == nil || kind == found else {
                throw WorkerProtocolError("a frame of another message came in between")
            }
            kind = found
            start += Frames.headerBytes
            guard payload.count + length <= Frames.messageMaximum else {
                throw WorkerProtocolError("a message is longer than \(Frames.messageMaximum) bytes")
            }
            payload += pending[start..<start + length]
            start += length
            if isLast {
                defer {
                    kind = nil
                    payload = []
                }
                return Frames.Message(found, payload)
            }
        }
        return nil
    }

    private func header() throws(WorkerProtocolError) -> (Frames.Kind, Bool, Int) {
        let (mark, kind, last, length) = pending.withUnsafeBytes { bytes in
            (
                UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt16.self)),
                bytes[start + 2], bytes[start + 3],
                UInt32(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self))
            )
        }
        guard mark == Frames.mark, last <= 1, let kind = Frames.Kind(rawValue: kind) else {
            throw WorkerProtocolError("bytes came that are no frame")
        }
        guard length <= UInt32(Frames.payloadMaximum) else {
            throw WorkerProtocolError(
                "a frame of \(length) bytes came; it may have \(Frames.payloadMaximum)")
        }
        return (kind, last == 1, Int(length))
    }
}
