public import BatchEngine

/// Makes the plans of one operator that keeps state.
@usableFromInline
struct StatePlans {
    let own: StreamNode
    let parent: StreamNode
    let lineage: StateLineage
    let records: Kernel
    let initial: (plan: Plan, kernel: Kernel)?
    /// Deals out what an earlier run left.
    let restored: Kernel
    let partitions: Int

    @usableFromInline
    init(
        own: StreamNode, parent: StreamNode, lineage: StateLineage, records: Kernel,
        initial: (plan: Plan, kernel: Kernel)?, restored: Kernel, partitions: Int
    ) {
        self.own = own
        self.parent = parent
        self.lineage = lineage
        self.records = records
        self.initial = initial
        self.restored = restored
        self.partitions = max(1, partitions)
    }

    /// A batch of an operator whose state is in the engine's tables.
    @usableFromInline
    func tablePlan(
        _ time: BatchTime, _ timing: StateTiming, _ context: GenerationContext
    ) async throws -> Plan? {
        let base = try await lineage.base(
            of: own, at: time, context, initial: { beforeAll($0) },
            follow: { time, _ in
                StateInputs.before(time.milliseconds, elements: nil, partitions: partitions)
            })
        guard let base else { return nil }
        let parentPlan = try await parent.plan(at: time, context)
        let due = timing.dueBefore(time, own)
        let steps = (0..<partitions).map { partition in
            var step = StateStep(id: lineage.id, partition: partition, time: time.milliseconds)
            step.oldest = base.oldest?.milliseconds ?? .min
            step.dueBefore = due
            return step
        }
        lineage.made(time)
        lineage.setPartitions(partitions)
        return StateInputs.plan(
            steps: steps, records: shuffled(parentPlan), before: base.plan)
    }

    /// A batch of an operator whose state is its own RDD of the batch before.
    ///
    /// - Parameter moving: deals the state out again by key; nil: keys stay where they are.
    @usableFromInline
    func datasetPlan(
        _ time: BatchTime, moving: Kernel?, _ context: GenerationContext
    ) async throws -> Plan? {
        let base = try await lineage.base(
            of: own, at: time, context, initial: { beforeAll($0) },
            follow: { time, dataset in
                var elements = Plan.dataset(dataset)
                if let moving { elements = elements.exchanged(by: moving, into: partitions) }
                return StateInputs.before(
                    time.milliseconds, elements: elements, partitions: partitions)
            })
        guard let base else { return nil }
        let parentPlan = try await parent.plan(at: time, context)
        if parentPlan == nil, !base.hasState { return nil }
        let steps = (0..<partitions).map { partition in
            var step = StateStep(id: lineage.id, partition: partition, time: time.milliseconds)
            step.hasRecords = parentPlan != nil
            return step
        }
        lineage.made(time)
        return StateInputs.plan(
            steps: steps, records: shuffled(parentPlan), before: base.plan)
    }

    /// The batch's records by key; empty partitions for a batch without RDD.
    private func shuffled(_ records: Plan?) -> Plan {
        records?.exchanged(by: self.records, into: partitions) ?? alignedPanes([], partitions)
    }

    /// The initial state, which no batch of this run has left.
    private func beforeAll(_ left: Plan?) -> Plan {
        // Nothing moves when there are as many partitions as before.
        if let left, left.partitionCount == partitions {
            return StateInputs.before(nil, elements: left, partitions: partitions)
        }
        let elements = (left.map { ($0, restored) } ?? initial).map { plan, kernel in
            plan.exchanged(by: kernel, into: partitions)
        }
        return StateInputs.before(nil, elements: elements, partitions: partitions)
    }
}

extension StateLineage {
    /// The plan of a snapshot: which version to read, once the batch has been applied.
    @usableFromInline
    func reading(_ plan: Plan, at time: BatchTime) -> Plan {
        let steps = (0..<plan.partitionCount).map { partition in
            let step = StateStep(id: id, partition: partition, time: time.milliseconds)
            return [PartitionData.values(Values([step]))]
        }
        return .zip([.source(steps), plan])
    }
}
