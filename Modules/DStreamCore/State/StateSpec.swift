public import BatchEngine

/// What `mapWithState` does with each record, and how it keeps state.
///
/// ```swift
/// let spec = StateSpec.function { (word: String, one: Int?, state: State<Int>) in
///     let sum = (one ?? 0) + (state.getOption() ?? 0)
///     try state.update(sum)
///     return (word, sum)
/// }.timeout(.seconds(60))
/// let counts = pairs.mapWithState(spec)
/// ```
public struct StateSpec<
    Key: StreamKey, Value: Sendable, StateValue: Sendable, Mapped: Sendable
>: Sendable {
    /// The form that all functions are brought to.
    public typealias Function =
        @Sendable (BatchTime, Key, Value?, State<StateValue>) throws -> Mapped?

    @usableFromInline let function: Function
    @usableFromInline var initial: RDD<(Key, StateValue)>?
    @usableFromInline var placement = KeyPlacement<Key>.hash
    @usableFromInline var partitionCount: Int?
    @usableFromInline var idleTimeout: Duration?
    @usableFromInline var sweep = StateTimeoutSweep.everyBatch

    @usableFromInline
    init(_ function: @escaping Function) { self.function = function }

    /// A specification whose function maps each record to one element.
    ///
    /// - Parameter function: called with the key, the record's value, and the key's state, for each
    ///   record in arrival order; for a state that times out, without a value.
    @inlinable
    public static func function(
        _ function: @escaping @Sendable (Key, Value?, State<StateValue>) throws -> Mapped
    ) -> StateSpec {
        StateSpec { _, key, value, state in try function(key, value, state) }
    }

    /// A specification whose function also gets the batch time and may map a record to nothing.
    @inlinable
    public static func function(
        _ function:
            @escaping @Sendable (BatchTime, Key, Value?, State<StateValue>) throws -> Mapped?
    ) -> StateSpec {
        StateSpec(function)
    }

    /// Starts with the states in `rdd`, which count as updated in the first batch.
    ///
    /// Of equal keys the last one counts.
    public func initialState(_ rdd: RDD<(Key, StateValue)>) -> StateSpec {
        var spec = self
        spec.initial = rdd
        return spec
    }

    /// Keeps the state in so many partitions, at least 1, by the keys' hashes.
    public func numPartitions(_ count: Int) -> StateSpec {
        var spec = self
        spec.partitionCount = count
        spec.placement = .hash
        return spec
    }

    /// Keeps the state where a partitioner of one's own says.
    public func partitioner(_ partitioner: some Partitioner<Key>) -> StateSpec {
        var spec = self
        spec.partitionCount = partitioner.partitionCount
        spec.placement = .custom(partitioner)
        return spec
    }

    /// Removes the state of a key that has had no record for longer than `idle`.
    ///
    /// The function is called for it once more, without a value; see ``State/isTimingOut``.
    public func timeout(_ idle: Duration) -> StateSpec {
        var spec = self
        spec.idleTimeout = idle
        return spec
    }

    /// Says in which batches states time out; every batch by default.
    public func timeoutSweep(_ sweep: StateTimeoutSweep) -> StateSpec {
        var spec = self
        spec.sweep = sweep
        return spec
    }
}

/// In which batches idle states time out, always after the batch's own records.
public enum StateTimeoutSweep: Sendable, Hashable {
    /// In the first batch after they are due.
    case everyBatch
    /// Only in batches in which the stream is checkpointed, every tenth by default, as Spark does.
    case atCheckpoints
}
