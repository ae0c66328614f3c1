import BatchEngine
import DStreamCore
import FaultTolerance
import ReceiverRuntime

/// A decoder of bytes that come from a disk or a peer.
///
/// A finding is a crash, a hang, memory out of proportion, or a value that does not survive being
/// written and read again.
enum Target: String, CaseIterable {
    /// Elements of all standard types, nested, and of a `Codable` type.
    case codecs
    /// A checkpoint file; the second, behind a header that is right.
    case checkpoint, checkpointPayload
    /// A checkpoint directory, in which a program goes on.
    case directory
    /// A record of the log of state.
    case state
    /// A record of the log of what happened to blocks.
    case events
    /// A segment of a write-ahead log; the second, with checksums that are right.
    case log, logFrames
    /// Frames from a socket, and lines.
    case frames, lines
    /// Frames between driver and worker, and what a receiver and the driver say in them.
    case workerFrames, workerMessages
    /// A file of elements.
    case objectFile
    /// A dead letter, and an entry of a file sink's manifest.
    case deadLetter, manifest

    /// Gives bytes to the decoder.
    ///
    /// - Returns: whether it took them for what it is written for.
    @discardableResult
    func feed(_ bytes: [UInt8]) -> Bool {
        switch self {
        case .codecs: CodecTarget.feed(bytes)
        case .checkpoint: feedCheckpoint(bytes)
        case .checkpointPayload: feedCheckpoint(Self.header(of: bytes) + bytes)
        case .directory: DirectoryTarget.feed(bytes)
        case .state: feedState(bytes)
        case .events: feedEvent(bytes)
        case .log: LogTarget.feed(bytes)
        case .logFrames: LogTarget.feed(LogTarget.mended(bytes))
        case .frames: StreamTarget.feedFrames(bytes)
        case .lines: StreamTarget.feedLines(bytes)
        case .workerFrames: WorkerTarget.feedFrames(bytes)
        case .workerMessages: WorkerTarget.feedMessage(bytes)
        case .objectFile: ObjectFileTarget.feed(bytes)
        case .deadLetter: DeadLetterTarget.feed(bytes)
        case .manifest: DeadLetterTarget.feedManifest(bytes)
        }
    }

    /// What the decoder is written for.
    func seeds() throws -> [[UInt8]] {
        switch self {
        case .codecs: return try CodecTarget.seeds()
        case .checkpoint: return [try Self.checkpoint()]
        case .checkpointPayload:
            return [Array(try Self.checkpoint().dropFirst(Self.headerByteCount))]
        case .directory: return [try DirectoryTarget.seed()]
        case .state: return [try CheckpointFormat.bytes(of: Self.piece, sequence: 3)]
        case .events:
            return try Self.sampleEvents.map { try Codec<BlockTrackingEvent>.of().bytes(of: $0) }
        case .log, .logFrames: return [LogTarget.sample.segment]
        case .frames: return [[0, 0, 0, 3, 2, 97, 98, 0, 0, 0, 0], [0, 0, 0, 1, 0]]
        case .lines: return [Array("a\nbé\r\n\rlast".utf8), [4, 255, 10, 13, 10]]
        case .workerFrames: return try WorkerTarget.frameSeeds()
        case .workerMessages: return try WorkerTarget.messageSeeds()
        case .objectFile: return [try ObjectFileTarget.seed()]
        case .deadLetter: return [try DeadLetterTarget.seed()]
        case .manifest: return [DeadLetterTarget.manifest.bytes]
        }
    }

    // MARK: Checkpoints and events

    private func feedCheckpoint(_ bytes: [UInt8]) -> Bool {
        guard let contents = try? CheckpointFormat.contents(of: bytes, path: "fuzz") else {
            return false
        }
        let again = (try? CheckpointFormat.bytes(of: contents)).flatMap {
            try? CheckpointFormat.contents(of: $0, path: "fuzz")
        }
        precondition(again == contents, "\(contents) became \(String(describing: again))")
        return true
    }

    private func feedState(_ bytes: [UInt8]) -> Bool {
        guard let (sequence, piece) = try? CheckpointFormat.piece(of: bytes) else { return false }
        let again = (try? CheckpointFormat.bytes(of: piece, sequence: sequence)).flatMap {
            try? CheckpointFormat.piece(of: $0).piece
        }
        precondition(again == piece, "\(piece) became \(String(describing: again))")
        return true
    }

    private func feedEvent(_ bytes: [UInt8]) -> Bool {
        let codec = Codec<BlockTrackingEvent>.of()
        guard let event = try? codec.value(of: bytes) else { return false }
        let again = (try? codec.bytes(of: event)).flatMap { try? codec.value(of: $0) }
        precondition(again == event, "\(event) became \(String(describing: again))")
        return true
    }

    private static let headerByteCount = 16

    /// A checkpoint's header, as it would be with this payload.
    static func header(of payload: [UInt8]) -> [UInt8] {
        var header = Array(((try? checkpoint()) ?? []).prefix(headerByteCount))
        header.mend(from: 8, UInt32(payload.count))
        header.mend(from: 12, Checksum.crc32c(header[..<12] + payload))
        return header
    }

    private static func checkpoint() throws -> [UInt8] {
        var record = CheckpointRecord(
            time: .seconds(2), appName: "café", zeroTime: .zero, batchInterval: .seconds(1),
            fingerprint: "f", pendingBatches: [.seconds(2)], isCompleted: false)
        record.newestCompleted = .seconds(1)
        record.operators = [
            StatefulOperator(kind: "updateStateByKey", name: "sums", shape: "(String,Int)")
        ]
        record.configuration = ["k": "v"]
        record.logs = ["chosen": LogPosition(segment: 2, offset: 300)]
        return try CheckpointFormat.bytes(
            of: CheckpointFormat.Contents(record: record, sequence: 3, void: [2...2]))
    }

    private static let piece = OperatorState(
        operatorID: "count", time: .seconds(1), kind: .changes, partition: 0, partitionCount: 2,
        values: EncodedValues(bytes: [1, 97, 5], count: 1),
        removed: EncodedValues(bytes: [1, 98], count: 1))

    private static let sampleEvents: [BlockTrackingEvent] = {
        let block = StoredBlock(
            id: .input(stream: 0, 7), streamID: StreamID(0), recordCount: 3, byteCount: 9,
            metadata: ["k": "v"], logHandle: LogRecordHandle(place: "log-0-1:72:9:1"))
        return [
            .blockAdded(block), .batchAllocated(.seconds(1), [StreamID(0): [block]]),
            .batchesCleaned([.seconds(1), .seconds(2)]), .blocksLost([block]),
        ]
    }()
}
