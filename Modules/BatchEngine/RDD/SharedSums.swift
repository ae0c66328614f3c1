internal import Synchronization

/// A sum that tasks in other processes add to.
@usableFromInline
package protocol SharedSum: AnyObject, Sendable {
    /// What a task elsewhere has added, to be counted when the task has succeeded.
    ///
    /// - Throws: ``EngineError`` `.codecMissing`; what decoding throws.
    func update(from amount: EncodedValues) throws -> any PendingUpdate
}

extension Accumulator: SharedSum {
    @usableFromInline
    package func update(from amount: EncodedValues) throws -> any PendingUpdate {
        let update = PendingSum(self)
        let context = TaskContext(partition: 0)
        let site = OperatorSite("Accumulator", file: "", line: 0)
        try Pipe<Value>.source(site).run(context, [.encoded(amount)]) { update.add($0) }
        return update
    }
}

/// The sums that a program makes while it builds its graph, by which processes know them.
@usableFromInline
package final class DeclaredSums: Sendable {
    /// Those of the program that is building its graph; nil: none is.
    @TaskLocal @usableFromInline package static var current: DeclaredSums?

    private let state = Locked<[any SharedSum]>([])

    package init() {}

    /// The sums in the order in which they were made.
    package var all: [any SharedSum] { state.withLock { $0 } }

    @usableFromInline
    func add(_ sum: any SharedSum) { state.withLock { $0.append(sum) } }
}

extension TaskContext {
    /// What the task has added so far to each of `sums`, by their numbers.
    ///
    /// - Throws: ``EngineError`` for a sum that is none of them, or whose amounts have no codec.
    package func amounts(
        of sums: [any SharedSum]
    ) throws -> [(number: Int, amount: EncodedValues)] {
        try updates.withLock { $0 }.map { update in
            guard let number = sums.firstIndex(where: { ObjectIdentifier($0) == update.owner })
            else {
                throw EngineError(
                    .invalidPlan,
                    "a task in another process added to an Accumulator that was not made in "
                        + "build(_:); make it there")
            }
            return (number, try update.encoded())
        }
    }

    /// Notes what the task has added in another process.
    package func add(_ update: any PendingUpdate) { updates.withLock { $0.append(update) } }
}
