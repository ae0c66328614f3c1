/// What a partition of a stateful operator is told about a batch: data of the batch's plan.
@usableFromInline
package struct StateStep: Sendable {
    /// Whose state.
    @usableFromInline package let id: StateID
    /// Which partition of it, whatever the number of the task.
    @usableFromInline package let partition: Int
    /// The batch in milliseconds since the epoch.
    @usableFromInline package let time: Int64
    /// The oldest version of the state that anyone may still ask for.
    @usableFromInline package var oldest: Int64 = .min
    /// Keys last updated before this are due; nil: none is.
    @usableFromInline package var dueBefore: Int64?
    /// Whether the parent has an RDD for the batch.
    @usableFromInline package var hasRecords = true

    /// Makes a step.
    @usableFromInline
    package init(id: StateID, partition: Int, time: Int64) {
        self.id = id
        self.partition = partition
        self.time = time
    }
}

/// Which version of its state a batch is built on.
@usableFromInline
package struct StateOrigin: Sendable {
    /// The batch in milliseconds; nil: none, there is at most an initial state.
    @usableFromInline package let version: Int64?

    /// Makes an origin.
    @usableFromInline
    package init(version: Int64?) { self.version = version }
}

/// The inputs of one partition of a stateful operator, told apart.
@usableFromInline
package struct StateInputs {
    /// The batch.
    @usableFromInline package let step: StateStep
    /// What came in, by key.
    @usableFromInline package let records: [PartitionData]
    /// The version to build on.
    @usableFromInline package let origin: StateOrigin
    /// The elements of the state before, or the initial ones.
    @usableFromInline package let earlier: [PartitionData]

    /// Reads what ``plan(steps:records:before:)`` arranged.
    @usableFromInline
    package init(_ inputs: [PartitionData], _ site: OperatorSite) throws {
        guard let before = Self.branch(2, inputs),
            let step: StateStep = try Self.value(Self.branch(0, inputs)),
            let origin: StateOrigin = try Self.value(Self.branch(0, before))
        else { throw EngineError(.invalidPlan, "a partition has no step of its state", site: site) }
        self.step = step
        self.origin = origin
        records = Self.branch(1, inputs) ?? []
        earlier = Self.branch(1, before) ?? []
    }

    /// The plan of a batch: its steps, its records, and what it is built on.
    package static func plan(steps: [StateStep], records: Plan, before: Plan) -> Plan {
        .zip([.source(steps.map { [.values(Values([$0]))] }), records, before])
    }

    /// What a batch is built on: a version, with elements where the engine keeps none.
    package static func before(
        _ version: Int64?, elements: Plan?, partitions: Int
    ) -> Plan {
        let origin = PartitionData.values(Values([StateOrigin(version: version)]))
        let origins = Plan.source([[PartitionData]](repeating: [origin], count: partitions))
        return .zip([origins, elements].compactMap { $0 })
    }

    /// The step of a partition that is only read.
    @usableFromInline
    package static func step(_ inputs: [PartitionData], _ site: OperatorSite) throws -> StateStep {
        guard let step: StateStep = try value(branch(0, inputs)) else {
            throw EngineError(.invalidPlan, "a partition has no step of its state", site: site)
        }
        return step
    }

    private static func branch(_ index: Int, _ inputs: [PartitionData]) -> [PartitionData]? {
        for case .branch(index, let inner) in inputs { return inner }
        return nil
    }

    private static func value<Value: Sendable & StreamCodable>(
        _ inputs: [PartitionData]?
    ) throws -> Value? {
        try inputs?.first?.firstElement(as: Value.self)
    }

    /// A step of state as an engine finds it among the inputs of a task.
    package typealias Found = (step: StateStep, origin: StateOrigin?, earlier: [PartitionData])

    /// The steps of state among the inputs of a task, with what each is built on; nil: the step only
    /// reads.
    package static func steps(in inputs: [PartitionData]) -> [Found] {
        if let step = ownStep(inputs) {
            let before = branch(2, inputs) ?? []
            let origin = try? branch(0, before)?.first?.firstElement(as: StateOrigin.self)
            return [(step, origin ?? nil, branch(1, before) ?? [])]
        }
        return inputs.flatMap { piece -> [Found] in
            switch piece {
            case .branch(_, let inner): return steps(in: inner)
            case .dynamic(let pipe, let inner):
                // What a body has made runs where it was made, and so finds its tables there.
                return (pipe as? any ErasedPipe)?.isPlain == true ? steps(in: inner) : []
            case .values, .lines, .encoded, .block: return []
            }
        }
    }

    /// The inputs of a task without what a step that only reads had to wait for.
    package static func withoutAwaited(_ inputs: [PartitionData]) -> [PartitionData] {
        if ownStep(inputs) != nil {
            guard branch(2, inputs) == nil, let step = branch(0, inputs) else { return inputs }
            return [.branch(0, step)]
        }
        return inputs.map { piece in
            guard case .branch(let index, let inner) = piece else { return piece }
            return .branch(index, withoutAwaited(inner))
        }
    }

    private static func ownStep(_ inputs: [PartitionData]) -> StateStep? {
        guard case .values(let values)? = branch(0, inputs)?.first else { return nil }
        return (values as? Values<StateStep>)?.elements.first
    }
}

extension StateStep: StreamCodable {
    @usableFromInline
    package func encode(to writer: inout ByteWriter) {
        writer.writeVarint(id.number)
        writer.writeZigzag(Int64(partition))
        writer.writeZigzag(time)
        writer.writeZigzag(oldest)
        dueBefore.encode(to: &writer)
        hasRecords.encode(to: &writer)
    }

    @usableFromInline
    package static func decode(from reader: inout ByteReader) throws -> StateStep {
        let id = StateID(number: try reader.readVarint())
        let partition = Int(try reader.readZigzag())
        var step = StateStep(id: id, partition: partition, time: try reader.readZigzag())
        step.oldest = try reader.readZigzag()
        step.dueBefore = try Int64?.decode(from: &reader)
        step.hasRecords = try Bool.decode(from: &reader)
        return step
    }
}

extension StateOrigin: StreamCodable {
    @usableFromInline
    package func encode(to writer: inout ByteWriter) { version.encode(to: &writer) }

    @usableFromInline
    package static func decode(from reader: inout ByteReader) throws -> StateOrigin {
        StateOrigin(version: try Int64?.decode(from: &reader))
    }
}

extension StateStep {
    /// The table of this step's partition.
    @inlinable
    package func cell<Key: StreamKey, Value: Sendable>(
        _ context: TaskContext, _ site: OperatorSite, hasTimers: Bool
    ) throws -> StateCell<Key, Value> {
        let cell = try context.stateStore.cell(of: id, partition: partition) {
            StateCell(StateTable<Key, Value>(hasTimers: hasTimers))
        }
        guard let cell = cell as? StateCell<Key, Value> else {
            throw EngineError(
                .invalidPlan, "\(id) holds \(type(of: cell)), another type of state", site: site)
        }
        return cell
    }
}
