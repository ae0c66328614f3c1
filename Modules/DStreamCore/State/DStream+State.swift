public import BatchEngine

/// How an operator keeps its state.
@usableFromInline
struct StateKeeping<Key: StreamKey, StateValue: Sendable>: Sendable {
    @usableFromInline let site: OperatorSite
    @usableFromInline let partitions: Int?
    @usableFromInline let placement: KeyPlacement<Key>
    @usableFromInline let initial: RDD<(Key, StateValue)>?
    /// Whether the state is dealt out by key again in each batch.
    @usableFromInline let movesKeys: Bool

    @inlinable
    init(
        _ site: OperatorSite, _ partitions: Int?, _ placement: KeyPlacement<Key>,
        _ initial: RDD<(Key, StateValue)>?, movesKeys: Bool = false
    ) {
        self.site = site
        self.partitions = partitions
        self.placement = placement
        self.initial = initial
        self.movesKeys = movesKeys
    }
}

extension DStream {
    /// What `pipe` makes of this stream's records and the state before, by key.
    ///
    /// - Parameters:
    ///   - stateShape: the shape of what users see as the state; nil: of what is kept.
    ///   - checkpointSlides: slides between checkpoints; nil: as many as other streams have.
    ///   - capture: how the state gets into checkpoints; nil: its elements have no codec.
    ///   - plan: arranges one batch.
    @inlinable
    func stateful<Key: StreamKey, Value: Sendable, StateValue: Sendable, Output: Sendable>(
        _ keeping: StateKeeping<Key, StateValue>, stateShape: String? = nil,
        checkpointSlides: Int? = nil,
        pipe: @escaping @Sendable () -> Pipe<Output>,
        capture: @escaping @Sendable (StreamNode, StateLineage) -> StateCapture?,
        plan:
            @escaping @Sendable (StatePlans, BatchTime, GenerationContext) async throws -> Plan?
    ) -> (stream: DStream<Output>, lineage: StateLineage) where Element == (Key, Value) {
        let (site, placement) = (keeping.site, keeping.placement)
        let (records, initial, restored) = (Frozen<Kernel>(), Frozen<Kernel>(), Frozen<Kernel>())
        let lineage = StateLineage()
        graph.checkPartitions(keeping.partitions, site)
        var traits = StreamNode.Traits()
        traits.mustCheckpoint = true
        traits.persistLevel = .memoryOnly
        traits.checkpointSlides = checkpointSlides
        traits.stateShape = stateShape ?? elementShape(of: (Key, StateValue).self)
        traits.givesState = stateShape == nil
        let stream = DStream<Output>(
            graph, site, parents: [node], slide: slideDuration, traits: traits, pipe: pipe,
            compute: { [node] own, time, context in
                let plans = StatePlans(
                    own: own, parent: node, lineage: lineage, records: records.value,
                    initial: keeping.initial.map { ($0.plan, initial.value) },
                    restored: restored.value,
                    partitions: keeping.partitions ?? context.batch.defaultParallelism)
                return try await plan(plans, time, context)
            })
        stream.node.onFreeze { [upstream = self.pipe, weak own = stream.node] program in
            records.set(
                program.add { upstream().partitionKernel(id: $0, site, placement: placement) })
            if let rdd = keeping.initial {
                initial.set(
                    program.add { rdd.pipe.partitionKernel(id: $0, site, placement: placement) })
            }
            restored.set(
                program.add {
                    Pipe<(Key, StateValue)>.source(site).partitionKernel(
                        id: $0, site, placement: placement)
                })
            own?.setCapture(
                own.flatMap { capture($0, lineage) },
                withoutCodec: Codec<StateValue>.firstTypeWithoutCodec())
        }
        stream.node.onClear { lineage.release() }
        return (stream, lineage)
    }
}
