public import BatchEngine
public import DStreamCore
internal import Synchronization

/// A queue of RDDs that a program fills while its stream runs.
///
/// ## Isolation
/// Callable from any thread.
public final class RDDQueue<Element: Sendable>: Sendable {
    private let waiting = Locked<[RDD<Element>]>([])

    /// Makes a queue.
    public init(_ rdds: [RDD<Element>] = []) {
        waiting.withLock { $0 = rdds }
    }

    /// Adds an RDD at the end.
    public func append(_ rdd: RDD<Element>) { waiting.withLock { $0.append(rdd) } }

    /// The RDDs not yet taken by a batch.
    public var count: Int { waiting.withLock { $0.count } }

    /// Takes the first, or all.
    func take(oneAtATime: Bool) -> [RDD<Element>] {
        waiting.withLock { waiting in
            guard !waiting.isEmpty else { return [] }
            if oneAtATime { return [waiting.removeFirst()] }
            defer { waiting = [] }
            return waiting
        }
    }
}

/// What a queue stream gives to a batch when its queue is empty.
public enum EmptyQueueRDD<Element: Sendable>: Sendable {
    /// An RDD with one empty partition, Spark's default.
    case onePartition
    /// An RDD without partitions, Spark's `null`.
    case noPartitions
    /// An RDD of the user's.
    case rdd(RDD<Element>)
}

extension StreamingContext {
    /// A stream of the RDDs in `queue`: one per batch, or all that wait.
    ///
    /// Queues cannot be recovered from a checkpoint.
    ///
    /// - Parameters:
    ///   - oneAtATime: whether a batch takes one RDD or all.
    ///   - emptyRDD: what a batch gets when the queue is empty.
    public func queueStream<Element: Sendable>(
        _ queue: RDDQueue<Element>, oneAtATime: Bool = true,
        defaultRDD emptyRDD: EmptyQueueRDD<Element> = .onePartition, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<Element> {
        graph.quickInputStream(OperatorSite("queueStream", file: file, line: line)) { _, context in
            let taken = queue.take(oneAtATime: oneAtATime)
            if taken.count == 1 { return taken[0] }
            if !taken.isEmpty { return context.batch.union(taken) }
            switch emptyRDD {
            case .onePartition: return context.batch.makeRDD(partitions: [[]])
            case .noPartitions: return context.batch.emptyRDD()
            case .rdd(let rdd): return rdd
            }
        }
    }
}
