public import Synchronization

/// A flag that a running task looks at every few thousand elements.
public final class CancellationFlag: Sendable {
    @usableFromInline let flag = Atomic<Bool>(false)

    /// Makes a flag that is not set.
    public init() {}

    /// Sets the flag; tasks that hold it end at their next look.
    public func cancel() { flag.store(true, ordering: .relaxed) }

    /// Whether the flag is set.
    @inlinable
    public var isCancelled: Bool { flag.load(ordering: .relaxed) }
}

/// What a task knows about itself: enough for a sink to recognise a repeated write.
///
/// A task may run more than once for the same `(batch, stage, partition)`; `attempt` tells the
/// tries apart.
public final class TaskContext: Sendable {
    /// The batch time in milliseconds, or nil outside a streaming batch.
    public let batchMilliseconds: Int64?
    /// The kernel the task runs.
    public let stage: KernelID
    /// The partition's index, from 0.
    public let partition: Int
    /// Tells the tries of a task apart: from 0, and higher in each later one.
    ///
    /// The tasks of an output operation that runs again after a failure go on from
    /// `maxTaskFailures`, so that batch, partition and attempt are never the same twice in a run.
    public let attempt: Int
    /// Where operators keep state between batches.
    public let stateStore: any StateStore
    @usableFromInline let cancellation: CancellationFlag
    @usableFromInline let updates = Locked<[any PendingUpdate]>([])

    /// Makes a context; engines call this, and tests that run a kernel by hand.
    public init(
        batchMilliseconds: Int64? = nil, stage: KernelID = .dynamic(0), partition: Int,
        attempt: Int = 0, cancellation: CancellationFlag = CancellationFlag(),
        stateStore: any StateStore = NoStateStore()
    ) {
        self.batchMilliseconds = batchMilliseconds
        self.stage = stage
        self.partition = partition
        self.attempt = attempt
        self.cancellation = cancellation
        self.stateStore = stateStore
    }

    /// The context of the task that runs the current code, or nil outside one.
    @TaskLocal public static var current: TaskContext?

    /// Throws `CancellationError` when the task was told to end.
    @inlinable
    public func checkCancellation() throws {
        if cancellation.isCancelled { throw CancellationError() }
    }

    /// What `owner` keeps until the task has succeeded, made by `make` when there is nothing yet.
    @inlinable
    package func pendingUpdate<Update: PendingUpdate>(
        of owner: ObjectIdentifier, _ make: () -> Update
    ) -> Update {
        updates.withLock { updates in
            // A task adds to few accumulators: a dictionary would be slower.
            for update in updates where update.owner == owner {
                if let update = update as? Update { return update }
            }
            let update = make()
            updates.append(update)
            return update
        }
    }

    /// What was kept; the engine takes it once, for the attempt that counts.
    package func takeUpdates() -> [AddedSums.Part] {
        let updates = updates.withLock { updates in
            defer { updates = [] }
            return updates
        }
        return updates.isEmpty ? [] : [AddedSums.Part(updates)]
    }
}

/// What a task adds to something outside, kept until it has succeeded.
@usableFromInline
package protocol PendingUpdate: AnyObject, Sendable {
    /// Who is added to, without a reference: counting those makes threads wait for one another.
    var owner: ObjectIdentifier { get }
    /// Applies it; called once.
    func commit()
    /// This one and others of the same tasks were applied.
    func wereCommitted()
    /// The amount as bytes, for the process that owns the sum.
    func encoded() throws -> EncodedValues
}

extension PendingUpdate {
    @usableFromInline package func wereCommitted() {}
}
