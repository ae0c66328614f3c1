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
    /// The number of earlier failed tries of this task, from 0.
    public let attempt: Int
    @usableFromInline let cancellation: CancellationFlag
    private let pendingUpdates = Mutex<[@Sendable () -> Void]>([])

    /// Makes a context; engines call this, and tests that run a kernel by hand.
    public init(
        batchMilliseconds: Int64? = nil, stage: KernelID = .dynamic(0), partition: Int,
        attempt: Int = 0, cancellation: CancellationFlag = CancellationFlag()
    ) {
        self.batchMilliseconds = batchMilliseconds
        self.stage = stage
        self.partition = partition
        self.attempt = attempt
        self.cancellation = cancellation
    }

    /// The context of the task that runs the current code, or nil outside one.
    @TaskLocal public static var current: TaskContext?

    /// Throws `CancellationError` when the task was told to end.
    @inlinable
    public func checkCancellation() throws {
        if cancellation.isCancelled { throw CancellationError() }
    }

    /// Keeps an accumulator's update until the task has succeeded.
    package func deferUpdate(_ update: @escaping @Sendable () -> Void) {
        pendingUpdates.withLock { $0.append(update) }
    }

    /// Applies the deferred updates; the engine calls this once, for the attempt that counts.
    package func commitUpdates() {
        let updates = pendingUpdates.withLock { pending in
            defer { pending = [] }
            return pending
        }
        for update in updates { update() }
    }
}
