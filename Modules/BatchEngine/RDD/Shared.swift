public import Synchronization

/// A read-only value made once by the driver and used by every task.
public struct Broadcast<Value: Sendable>: Sendable {
    /// The value.
    public let value: Value

    init(_ value: Value) { self.value = value }
}

/// A sum that tasks add to and the driver reads.
///
/// Additions made by an output operation, inside tasks or in its own code, count once: when the
/// operation succeeds, however often it and its tasks were tried. Until then the operation alone
/// reads them. What is computed once for several operations, a shuffle or a persisted stream, counts
/// with the first that succeeds. Those of a failed operation do not count, also when its elements
/// are dead-lettered. An operation that runs again after a restart counts in the new run.
///
/// Outside output operations, additions made inside tasks count when their action succeeds, and
/// others at once.
public final class Accumulator<Value: Sendable>: Sendable {
    @usableFromInline let total: RunningSum<Value>
    @usableFromInline let combine: @Sendable (Value, Value) -> Value

    /// Makes an accumulator.
    ///
    /// - Parameter combine: associative and commutative: tasks add in any order. It may be called
    ///   again with the same amount when others add at the same time.
    @inlinable
    public init(_ zero: Value, _ combine: @escaping @Sendable (Value, Value) -> Value) {
        total = RunningSum(zero)
        self.combine = combine
        DeclaredSums.current?.add(self)
    }

    /// Adds `amount`.
    @inlinable
    public func add(_ amount: Value) {
        if let task = TaskContext.current {
            task.pendingUpdate(of: ObjectIdentifier(self)) { PendingSum(self) }.add(amount)
        } else if let own = JobAttempt.current.sums?.ownUpdate(of: ObjectIdentifier(self), pending)
        {
            own.add(amount)
        } else {
            total.update { combine($0, amount) }
        }
    }

    @usableFromInline
    func pending() -> PendingSum<Value> { PendingSum(self) }

    /// The sum of what has counted so far and, within an output operation, what that has added.
    public var value: Value {
        guard let sums = JobAttempt.current.sums, TaskContext.current == nil else {
            return total.value
        }
        return sums.pending(of: ObjectIdentifier(self)).reduce(total.value) { value, update in
            guard let update = update as? PendingSum<Value>, let amount = update.sum.value else {
                return value
            }
            return combine(value, amount)
        }
    }
}

extension Accumulator where Value: AdditiveArithmetic {
    /// Makes an accumulator that adds, starting at zero.
    @inlinable
    public convenience init() { self.init(.zero) { $0 + $1 } }
}

/// What one task has added to an accumulator so far.
@usableFromInline
final class PendingSum<Value: Sendable>: PendingUpdate {
    @usableFromInline let total: RunningSum<Value>
    @usableFromInline let combine: @Sendable (Value, Value) -> Value
    @usableFromInline let sum = RunningSum<Value?>(nil)
    @usableFromInline let owner: ObjectIdentifier
    /// Kept so that no other accumulator gets the same identity.
    @usableFromInline let accumulator: Accumulator<Value>

    @inlinable
    init(_ accumulator: Accumulator<Value>) {
        total = accumulator.total
        combine = accumulator.combine
        owner = ObjectIdentifier(accumulator)
        self.accumulator = accumulator
    }

    @inlinable
    func add(_ amount: Value) {
        sum.update { $0.map { combine($0, amount) } ?? amount }
    }

    @usableFromInline
    func commit() {
        guard let amount = sum.value else { return }
        total.update { combine($0, amount) }
    }

    @usableFromInline
    func encoded() throws -> EncodedValues {
        try Values(sum.value.map { [$0] } ?? []).encoded()
    }
}

/// A value that closures of the user change, which may be slow or look at the value themselves:
/// they run outside the lock.
@usableFromInline
final class RunningSum<Value: Sendable>: Sendable {
    @usableFromInline let state: Locked<(value: Value, version: UInt64)>

    @inlinable
    init(_ value: Value) { state = Locked((value, 0)) }

    @inlinable var value: Value { state.withLock { $0.value } }

    @inlinable
    func update(_ change: (Value) -> Value) {
        while true {
            let (old, version) = state.withLock { $0 }
            let new = change(old)
            let isDone = state.withLock { state in
                guard state.version == version else { return false }
                state = (new, version + 1)
                return true
            }
            if isDone { return }
        }
    }
}
