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

    /// Takes the first, or all, if there was any before `note` was called: what is appended to an
    /// empty queue meanwhile is the next batch's, as nothing was noted of it.
    ///
    /// - Throws: what `note` throws; nothing was taken then.
    package func take(oneAtATime: Bool, noting note: () async throws -> Void) async throws -> [RDD<
        Element
    >] {
        guard count > 0 else { return [] }
        try await note()
        return take(oneAtATime: oneAtATime)
    }

    private func take(oneAtATime: Bool) -> [RDD<Element>] {
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
    /// A queue cannot be recovered from a checkpoint: after a crash, ``start()`` refuses to run a
    /// batch again that had taken from it and has not completed.
    ///
    /// - Parameters:
    ///   - oneAtATime: whether a batch takes one RDD or all.
    ///   - emptyRDD: what a batch gets when the queue is empty.
    public func queueStream<Element: Sendable>(
        _ queue: RDDQueue<Element>, oneAtATime: Bool = true,
        defaultRDD emptyRDD: EmptyQueueRDD<Element> = .onePartition, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<Element> {
        let site = OperatorSite("queueStream", file: file, line: line)
        return graph.computedStream(site, givesOnce: true) { id, time, context in
            let taken = try await queue.take(oneAtATime: oneAtATime) {
                try await context.noteTaken(from: id, for: time)
            }
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
