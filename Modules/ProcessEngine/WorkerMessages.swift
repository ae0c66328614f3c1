internal import BatchEngine

/// Who a worker is: equal to the driver's view, or it is not taken.
struct WorkerIdentity: Sendable, Equatable {
    /// The version of the protocol that this program speaks.
    static let protocolVersion: UInt64 = 3

    var version = Self.protocolVersion
    /// Says which file the program is.
    var executable: String
    /// Describes the graph.
    var fingerprint: String

    /// What differs in another one, in words; nil: nothing.
    func difference(in other: WorkerIdentity) -> String? {
        if other.version != version {
            return "it speaks version \(other.version) of the protocol, the driver \(version)"
        }
        if other.executable != executable {
            return "it runs another build of the program (\(other.executable), the driver "
                + "\(executable)); start the program again"
        }
        if other.fingerprint != fingerprint {
            let mine = fingerprint.split(separator: ";")
            let theirs = other.fingerprint.split(separator: ";")
            let first = zip(mine, theirs).first { $0 != $1 }
            let place =
                first.map { "\($1), in the driver \($0)" }
                ?? "\(theirs.count) operators, in the driver \(mine.count)"
            return "it built another graph (\(place)); build(_:) must declare the same streams in "
                + "every process: no clock, randomness, environment or files of the machine in it"
        }
        return nil
    }
}

extension Frames.Message {
    /// Reads what the message holds as whoever gets it would, for tests.
    ///
    /// - Throws: what reading throws.
    package func check() throws {
        switch kind {
        case .hello: _ = try Hello(payload: payload)
        case .task: _ = try TaskMessage.read(payload)
        case .outcome: _ = try OutcomeMessage.read(payload)
        case .failure: _ = try FailureMessage(payload: payload)
        case .service: _ = try ServiceMessage(payload: payload)
        case .welcome:
            guard payload.isEmpty else { throw WorkerProtocolError("a welcome holds something") }
        case .message: break
        }
    }
}

/// Which service a worker is to run.
struct ServiceMessage: Sendable {
    let number: Int

    init(_ number: Int) { self.number = number }

    var payload: [UInt8] {
        var writer = ByteWriter()
        writer.writeVarint(UInt64(number))
        return writer.bytes
    }

    init(payload: [UInt8]) throws {
        number = try payload.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let number = Int(clamping: try reader.readVarint())
            try reader.requireEnd(of: "service")
            return number
        }
    }
}

/// What a worker sends first.
struct Hello: Sendable {
    var secret: String
    var identity: WorkerIdentity

    var payload: [UInt8] {
        var writer = ByteWriter()
        writer.writeVarint(identity.version)
        writer.writeString(secret)
        writer.writeString(identity.executable)
        writer.writeString(identity.fingerprint)
        return writer.bytes
    }

    init(secret: String, identity: WorkerIdentity) {
        self.secret = secret
        self.identity = identity
    }

    init(payload: [UInt8]) throws {
        let (secret, identity) = try payload.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let version = try reader.readVarint()
            let secret = try reader.readString()
            var identity = WorkerIdentity(
                executable: try reader.readString(), fingerprint: try reader.readString())
            identity.version = version
            try reader.requireEnd(of: "hello")
            return (secret, identity)
        }
        self.init(secret: secret, identity: identity)
    }
}

/// A state of which a task needs a version.
struct StatePlace: Sendable, Hashable {
    let id: StateID
    let partition: Int

    init(_ id: StateID, _ partition: Int) {
        self.id = id
        self.partition = partition
    }

    init(_ step: StateStep) { self.init(step.id, step.partition) }

    func write(to writer: inout ByteWriter) {
        writer.writeVarint(id.number)
        writer.writeZigzag(Int64(partition))
    }

    init(from reader: inout ByteReader) throws {
        let number = try reader.readVarint()
        self.init(StateID(number: number), Int(try reader.readZigzag()))
    }
}

/// One attempt of a task, as a worker is given it.
struct TaskMessage: Sendable {
    /// A whole table, as of a version.
    struct Load: Sendable {
        let place: StatePlace
        let version: Int64
        let values: EncodedValues
    }
    /// A table that the task changes: its batch, and the version it is built on.
    struct Change: Sendable {
        let place: StatePlace
        let version: Int64
        let base: Int64?
    }

    /// Counts the tasks of a worker; the answer carries the same.
    var number: UInt64
    var kernel: Int
    var batchMilliseconds: Int64?
    var partition: Int
    var attempt: Int
    var outputs: Int
    var loads: [Load] = []
    var changes: [Change] = []

    /// The message, with the task's inputs at its end.
    func payload(_ inputs: [PartitionData], _ context: TaskContext) throws -> [UInt8] {
        let pieces = try PartitionCoding.pieces(inputs, context)
        let tables = loads.reduce(0) { $0 + 64 + $1.values.bytes.count } + 64 * changes.count
        var writer = ByteWriter(
            reservingCapacity: 64 + tables + PartitionCoding.byteMaximum(of: pieces))
        writer.writeVarint(number)
        writer.writeVarint(UInt64(kernel))
        batchMilliseconds.encode(to: &writer)
        for number in [partition, attempt, outputs] { writer.writeZigzag(Int64(number)) }
        writer.writeVarint(UInt64(loads.count))
        for load in loads {
            load.place.write(to: &writer)
            writer.writeZigzag(load.version)
            load.values.write(to: &writer)
        }
        writer.writeVarint(UInt64(changes.count))
        for change in changes {
            change.place.write(to: &writer)
            writer.writeZigzag(change.version)
            change.base.encode(to: &writer)
        }
        PartitionCoding.write(pieces, to: &writer)
        return try writer.takeBytes()
    }

    static func read(_ payload: [UInt8]) throws -> (task: TaskMessage, inputs: [PartitionData]) {
        try payload.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            var task = TaskMessage(
                number: try reader.readVarint(), kernel: Int(clamping: try reader.readVarint()),
                batchMilliseconds: try Int64?.decode(from: &reader),
                partition: Int(try reader.readZigzag()), attempt: Int(try reader.readZigzag()),
                outputs: Int(try reader.readZigzag()))
            for _ in 0..<(try reader.readCount()) {
                task.loads.append(
                    Load(
                        place: try StatePlace(from: &reader), version: try reader.readZigzag(),
                        values: try EncodedValues(from: &reader)))
            }
            for _ in 0..<(try reader.readCount()) {
                task.changes.append(
                    Change(
                        place: try StatePlace(from: &reader), version: try reader.readZigzag(),
                        base: try Int64?.decode(from: &reader)))
            }
            let inputs = try PartitionCoding.read(from: &reader)
            try reader.requireEnd(of: "task")
            return (task, inputs)
        }
    }
}

/// What a task gave, as a worker sends it.
struct OutcomeMessage: Sendable {
    /// The number of the task.
    var task: UInt64
    var outputs: [PartitionData]
    /// One for each table that the task changes.
    var changes: [StateChanges]
    /// What the task added to accumulators, by their numbers.
    var amounts: [(number: Int, amount: EncodedValues)]

    func payload(_ context: TaskContext) throws -> [UInt8] {
        let pieces = try PartitionCoding.pieces(outputs, context)
        let sums = amounts.reduce(0) { $0 + 32 + $1.amount.bytes.count }
        let tables = changes.reduce(0) { $0 + 64 + $1.values.bytes.count + $1.removed.bytes.count }
        var writer = ByteWriter(
            reservingCapacity: 64 + sums + tables + PartitionCoding.byteMaximum(of: pieces))
        writer.writeVarint(task)
        writer.writeVarint(UInt64(changes.count))
        for change in changes {
            change.isWhole.encode(to: &writer)
            change.values.write(to: &writer)
            change.removed.write(to: &writer)
        }
        writer.writeVarint(UInt64(amounts.count))
        for (number, amount) in amounts {
            writer.writeVarint(UInt64(number))
            amount.write(to: &writer)
        }
        PartitionCoding.write(pieces, to: &writer)
        return try writer.takeBytes()
    }

    static func read(_ payload: [UInt8]) throws -> OutcomeMessage {
        try payload.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            var outcome = OutcomeMessage(
                task: try reader.readVarint(), outputs: [], changes: [], amounts: [])
            for _ in 0..<(try reader.readCount()) {
                outcome.changes.append(
                    StateChanges(
                        isWhole: try Bool.decode(from: &reader),
                        values: try EncodedValues(from: &reader),
                        removed: try EncodedValues(from: &reader)))
            }
            for _ in 0..<(try reader.readCount()) {
                let number = Int(clamping: try reader.readVarint())
                outcome.amounts.append((number, try EncodedValues(from: &reader)))
            }
            outcome.outputs = try PartitionCoding.read(from: &reader)
            try reader.requireEnd(of: "outcome")
            return outcome
        }
    }
}
