import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// The page on the format says what the store writes, and what was once written stays readable.
@Suite(.timeLimit(.minutes(5))) struct CheckpointFormatTests {
    /// The examples on the page, in their order.
    private func examples() throws -> [[UInt8]] {
        let page = try RepositoryFile("Docs/Formats/Checkpoint.md").text
        let blocks = page.components(between: "```hex", "```")
        return blocks.map { lines in
            lines.flatMap { line in
                line.split(separator: " ").dropFirst().compactMap { UInt8($0, radix: 16) }
            }
        }
    }

    private var contents: CheckpointFormat.Contents {
        var record = CheckpointRecord(
            time: .seconds(2), appName: "café", zeroTime: .zero, batchInterval: .seconds(1),
            fingerprint: "f", pendingBatches: [.seconds(2)], isCompleted: false)
        record.newestCompleted = .seconds(1)
        record.parallelism = 2
        record.oldestState = .seconds(1)
        record.operators = [
            StatefulOperator(kind: "updateStateByKey", name: "count", shape: "(String,Int)"),
            StatefulOperator(kind: "map", name: nil, shape: "Int", number: 1),
        ]
        record.configuration = ["k": "v"]
        record.logs = ["received/events": LogPosition(segment: 1, offset: 96)]
        return CheckpointFormat.Contents(
            record: record, sequence: 3, void: [2...2],
            stateEnd: LogPosition(segment: 2, offset: 300))
    }

    private var piece: OperatorState {
        OperatorState(
            operatorID: "count", time: .seconds(1), kind: .changes, partition: 0,
            partitionCount: 2, values: EncodedValues(bytes: [1, 97, 5], count: 1),
            removed: EncodedValues(bytes: [1, 98], count: 1))
    }

    @Test func theExamplesAreWritten() throws {
        let examples = try examples()
        try #require(examples.count == 2)
        #expect(try CheckpointFormat.bytes(of: contents) == examples[0])
        #expect(try CheckpointFormat.bytes(of: piece, sequence: 3) == examples[1])
    }

    @Test func theExamplesAreRead() throws {
        let examples = try examples()
        try #require(examples.count == 2)
        #expect(try CheckpointFormat.contents(of: examples[0], path: "x") == contents)
        let (sequence, read) = try CheckpointFormat.piece(of: examples[1])
        #expect(sequence == 3)
        #expect(read == piece)
    }

    /// Behind a checksum that is right.
    @Test func bytesLeftOverAreDamage() throws {
        let bytes = try CheckpointFormat.bytes(of: contents)
        let payload = Array(bytes[16...]) + [0]
        var header = ByteWriter()
        header.writeBytes(Array(bytes[..<8]))
        header.writeFixed(UInt32(payload.count))
        header.writeFixed(Checksum.crc32c(header.bytes + payload))
        let longer = header.bytes + payload
        let error = #expect(throws: CheckpointError.self) {
            try CheckpointFormat.contents(of: longer, path: "x")
        }
        #expect(error?.code == .damaged)
        let record = try CheckpointFormat.bytes(of: piece, sequence: 3)
        #expect(throws: CodecError.self) { try CheckpointFormat.piece(of: record + [0]) }
    }

    /// Above the highest number there is none for the next write.
    @Test func aNumberWithNoneAboveIsDamage() throws {
        for number in [UInt64(1) << 62, UInt64(1) << 63, UInt64.max] {
            for place in 0..<2 {
                var contents = contents
                if place == 0 { contents.sequence = number }
                if place == 1 { contents.void = [1...number] }
                let bytes = try CheckpointFormat.bytes(of: contents)
                let error = #expect(throws: CheckpointError.self) {
                    try CheckpointFormat.contents(of: bytes, path: "x")
                }
                #expect(error?.code == .damaged)
            }
            let record = try CheckpointFormat.bytes(of: piece, sequence: number)
            #expect(throws: CodecError.self) { try CheckpointFormat.piece(of: record) }
        }
    }

    /// Behind a checksum that is right: what no program has written, and what none could go on from.
    @Test func impossibleNumbersAreDamage() throws {
        typealias Change = (inout CheckpointFormat.Contents) -> Void
        let far = BatchTime(milliseconds: .min)
        let changes: [Change] = [
            { $0.record.zeroTime = far }, { $0.record.pendingBatches = [far] },
            { $0.record.newestCompleted = BatchTime(milliseconds: .max) },
            { $0.record.parallelism = .max },
        ]
        for (number, change) in changes.enumerated() {
            var contents = contents
            change(&contents)
            let bytes = try CheckpointFormat.bytes(of: contents)
            let error = #expect(throws: CheckpointError.self, "change \(number)") {
                try CheckpointFormat.contents(of: bytes, path: "x")
            }
            #expect(error?.code == .damaged)
        }
        for (partition, count) in [(2, 2), (0, 0), (Int.max, Int.max)] {
            var piece = piece
            (piece.partition, piece.partitionCount) = (partition, count)
            let bytes = try CheckpointFormat.bytes(of: piece, sequence: 1)
            #expect(throws: CodecError.self) { try CheckpointFormat.piece(of: bytes) }
        }
    }

    /// What the earlier versions wrote: they did not say how far logs reached.
    private var earlierRecord: CheckpointRecord {
        var record = contents.record
        record.logs = [:]
        return record
    }

    @Test func theSecondVersionIsRead() throws {
        let file = try RepositoryFile("Tests/Fixtures/checkpoint-v2/checkpoint-000000000003").bytes
        let read = try CheckpointFormat.contents(of: file, path: "x")
        #expect(read.record == earlierRecord)
        #expect(read.stateEnd == nil)
    }

    /// A directory as version 1 left it.
    @Test func theFirstVersionIsRead() async throws {
        let medium = SimulatedStorageMedium()
        medium.setDirectory("/old")
        medium.setDirectory("/old/state")
        for name in ["checkpoint-000000000001", "checkpoint-000000000002"] {
            medium.setContents(
                of: "/old/" + name,
                to: try RepositoryFile("Tests/Fixtures/checkpoint-v1/\(name)").bytes)
        }
        medium.setContents(
            of: "/old/state/log-2000-62000",
            to: try RepositoryFile("Tests/Fixtures/checkpoint-v1/state/log-2000-62000").bytes)
        let store = try await FileCheckpointStore.open("/old", on: medium)
        let found = try await store.recover()
        #expect(
            found
                == RecoveredCheckpoint(record: earlierRecord, state: [piece, piece]))
    }
}

extension String {
    /// The lines of each part from a line to another.
    fileprivate func components(between start: String, _ end: String) -> [[Substring]] {
        var parts: [[Substring]] = []
        var isInside = false
        for line in split(separator: "\n", omittingEmptySubsequences: false) {
            if isInside, line == end {
                isInside = false
            } else if isInside {
                parts[parts.count - 1].append(line)
            } else if line == start {
                isInside = true
                parts.append([])
            }
        }
        return parts
    }
}
