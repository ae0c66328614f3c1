internal import BatchEngine
package import DStreamCore

/// The bytes of checkpoint files and of the records of the state log; see Docs/Formats/Checkpoint.md.
package enum CheckpointFormat {
    /// The version that is written; older ones are read.
    static let version: UInt16 = 3
    private static let magic: [UInt8] = Array("DSCP".utf8)
    private static let headerByteCount = 16
    /// No program ever writes so often: all numbers of writes are lower.
    static let endOfSequences: UInt64 = 1 << 62

    /// What a checkpoint file says.
    package struct Contents: Sendable, Hashable {
        package var record: CheckpointRecord
        /// Rises with every write.
        package var sequence: UInt64
        /// Writes that never counted, because a later start went on from an earlier one.
        package var void: [ClosedRange<UInt64>]
        /// How far the state log reached when this was written; nil before version 3.
        package var stateEnd: LogPosition?

        package init(
            record: CheckpointRecord, sequence: UInt64, void: [ClosedRange<UInt64>],
            stateEnd: LogPosition? = nil
        ) {
            self.stateEnd = stateEnd
            self.record = record
            self.sequence = sequence
            self.void = void
        }
    }

    // MARK: Checkpoint files

    package static func bytes(of contents: Contents) throws -> [UInt8] {
        var writer = ByteWriter()
        let record = contents.record
        writer.writeVarint(contents.sequence)
        writer.writeVarint(UInt64(contents.void.count))
        for range in contents.void {
            writer.writeVarint(range.lowerBound)
            writer.writeVarint(range.upperBound)
        }
        writer.writeZigzag(record.time.milliseconds)
        writer.writeString(record.appName)
        writer.writeZigzag(record.zeroTime.milliseconds)
        writer.writeZigzag(record.batchInterval.milliseconds)
        writer.writeString(record.fingerprint)
        writer.writeVarint(UInt64(record.pendingBatches.count))
        for batch in record.pendingBatches { writer.writeZigzag(batch.milliseconds) }
        writer.writeByte(record.isCompleted ? 1 : 0)
        writer.writeByte(record.newestCompleted == nil ? 0 : 1)
        writer.writeZigzag(record.newestCompleted?.milliseconds ?? 0)
        writer.writeVarint(UInt64(max(0, record.parallelism)))
        writer.writeZigzag(record.oldestState.milliseconds)
        writer.writeVarint(UInt64(record.operators.count))
        for known in record.operators {
            writer.writeString(known.kind)
            writer.writeByte(known.name == nil ? 0 : 1)
            writer.writeString(known.name ?? "")
            writer.writeString(known.shape)
            writer.writeVarint(UInt64(max(0, known.number)))
        }
        writer.writeVarint(UInt64(record.configuration.count))
        for (key, value) in record.configuration.sorted(by: { $0.key < $1.key }) {
            writer.writeString(key)
            writer.writeString(value)
        }
        var logs = record.logs
        logs[InputLogs.state] = contents.stateEnd
        writer.writeVarint(UInt64(logs.count))
        for (name, end) in logs.sorted(by: { $0.key < $1.key }) {
            writer.writeString(name)
            writer.writeVarint(end.segment)
            writer.writeVarint(end.offset)
        }
        let payload = try writer.takeBytes()
        var header = ByteWriter(reservingCapacity: headerByteCount)
        header.writeBytes(magic)
        header.writeFixed(version)
        header.writeFixed(UInt16(0))
        header.writeFixed(UInt32(payload.count))
        header.writeFixed(Checksum.crc32c(header.bytes + payload))
        return try header.takeBytes() + payload
    }

    /// Reads a checkpoint file.
    ///
    /// - Throws: ``CheckpointError`` `.damaged` or `.unsupported`, naming the path.
    package static func contents(of bytes: [UInt8], path: String) throws -> Contents {
        func damaged(_ what: String) -> CheckpointError {
            CheckpointError(.damaged, "\(path): \(what)")
        }
        guard bytes.count >= headerByteCount, bytes.starts(with: magic) else {
            throw damaged("\(bytes.count) bytes that do not begin as a checkpoint does")
        }
        return try bytes.withUnsafeBytes { buffer in
            var header = ByteReader(UnsafeRawBufferPointer(rebasing: buffer[4..<headerByteCount]))
            let found: UInt16 = try header.readFixed()
            let _: UInt16 = try header.readFixed()
            let length: UInt32 = try header.readFixed()
            let checksum: UInt32 = try header.readFixed()
            let payload = UnsafeRawBufferPointer(rebasing: buffer[headerByteCount...])
            guard payload.count == Int(length) else {
                throw damaged("\(payload.count) bytes after the header, not \(length)")
            }
            let start = Checksum.crc32c(
                UnsafeRawBufferPointer(rebasing: buffer[..<(headerByteCount - 4)]))
            guard Checksum.crc32c(payload, after: start) == checksum else {
                throw damaged("the checksum is not that of its bytes")
            }
            // After the checksum: a version that is wrong by a bit is no newer one.
            guard found <= version else {
                throw CheckpointError(
                    .unsupported,
                    "\(path): written in format version \(found); this program reads up to "
                        + "\(version): run a newer one")
            }
            do {
                var reader = ByteReader(payload)
                let contents = try contents(from: &reader, found)
                try reader.requireEnd(of: "checkpoint")
                return contents
            } catch let error as CodecError {
                throw damaged("\(error)")
            }
        }
    }

    private static func contents(
        from reader: inout ByteReader, _ version: UInt16
    ) throws -> Contents {
        let sequence = try Self.sequence(from: &reader)
        var void: [ClosedRange<UInt64>] = []
        for _ in 0..<(try reader.readCount()) {
            let lower = try Self.sequence(from: &reader)
            let upper = try Self.sequence(from: &reader)
            if lower <= upper { void.append(lower...upper) }
        }
        let newest = try reader.readTime()
        let appName = try reader.readString()
        let zeroTime = try reader.readTime()
        let interval = Duration.milliseconds(try reader.readZigzag())
        let fingerprint = try reader.readString()
        let pending = try (0..<(try reader.readCount())).map { _ in try reader.readTime() }
        var record = CheckpointRecord(
            time: newest, appName: appName, zeroTime: zeroTime, batchInterval: interval,
            fingerprint: fingerprint, pendingBatches: pending,
            isCompleted: try reader.readByte() == 1)
        let hasCompleted = try reader.readByte() == 1
        let completed = try reader.readTime()
        record.newestCompleted = hasCompleted ? completed : nil
        record.parallelism = Int(clamping: try reader.readVarint())
        guard record.parallelism <= BatchContext.partitionMaximum else {
            throw CodecError(.invalidValue, "\(record.parallelism) partitions")
        }
        // Of one who remembers for ever it is at the beginning of all times.
        record.oldestState = BatchTime(milliseconds: try reader.readZigzag())
        record.operators = try (0..<(try reader.readCount())).map { _ in
            let kind = try reader.readString()
            let isNamed = try reader.readByte() == 1
            let name = try reader.readString()
            return StatefulOperator(
                kind: kind, name: isNamed ? name : nil, shape: try reader.readString(),
                number: Int(clamping: try reader.readVarint()))
        }
        for _ in 0..<(try reader.readCount()) {
            record.configuration[try reader.readString()] = try reader.readString()
        }
        // Earlier versions did not say what they rely on.
        if version >= 3 {
            for _ in 0..<(try reader.readCount()) {
                record.logs[try reader.readString()] = LogPosition(
                    segment: try reader.readVarint(), offset: try reader.readVarint())
            }
        }
        let stateEnd = record.logs.removeValue(forKey: InputLogs.state)
        return Contents(record: record, sequence: sequence, void: void, stateEnd: stateEnd)
    }

    private static func sequence(from reader: inout ByteReader) throws -> UInt64 {
        let number = try reader.readVarint()
        guard number < endOfSequences else {
            throw CodecError(.invalidValue, "\(number) is not the number of a write")
        }
        return number
    }

    // MARK: Records of the state log

    package static func bytes(of piece: OperatorState, sequence: UInt64) throws -> [UInt8] {
        Array(try parts(of: piece, sequence: sequence).joined())
    }

    /// The bytes of a piece in parts: those of its values and keys are not copied.
    static func parts(of piece: OperatorState, sequence: UInt64) throws -> [[UInt8]] {
        var parts: [[UInt8]] = []
        var writer = ByteWriter()
        writer.writeVarint(sequence)
        writer.writeString(piece.operatorID)
        writer.writeZigzag(piece.time.milliseconds)
        writer.writeByte(piece.kind.rawValue)
        writer.writeVarint(UInt64(piece.partition))
        writer.writeVarint(UInt64(piece.partitionCount))
        for values in [piece.values, piece.removed] {
            writer.writeVarint(UInt64(values.count))
            writer.writeVarint(UInt64(values.bytes.count))
            parts += [try writer.takeBytes(), values.bytes]
        }
        return parts
    }

    package static func piece(
        of bytes: [UInt8]
    ) throws -> (sequence: UInt64, piece: OperatorState) {
        try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            let sequence = try sequence(from: &reader)
            let id = try reader.readString()
            let time = try reader.readTime()
            let code = try reader.readByte()
            guard let kind = OperatorState.Kind(rawValue: code) else {
                throw CheckpointError(.unsupported, "state of the unknown kind \(code)")
            }
            let partition = Int(clamping: try reader.readVarint())
            let count = Int(clamping: try reader.readVarint())
            guard partition < count else {
                throw CodecError(.invalidValue, "partition \(partition) of \(count)")
            }
            let piece = OperatorState(
                operatorID: id, time: time, kind: kind, partition: partition,
                partitionCount: count, values: try EncodedValues(from: &reader),
                removed: try EncodedValues(from: &reader))
            try reader.requireEnd(of: "piece of state")
            return (sequence, piece)
        }
    }
}
