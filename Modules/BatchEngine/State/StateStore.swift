public import Synchronization

/// The identity of one operator's state: its tables, one per partition, share it.
public struct StateID: Sendable, Hashable, CustomStringConvertible {
    /// The number, unique in the process that plans batches.
    public let number: UInt64

    private static let counter = Atomic<UInt64>(1)

    /// An identity that the process which plans batches has given.
    package init(number: UInt64) { self.number = number }

    /// A fresh identity.
    public static func next() -> StateID {
        StateID(number: counter.wrappingAdd(1, ordering: .relaxed).oldValue)
    }

    /// The identity as `state_7`.
    public var description: String { "state_\(number)" }
}

/// Keeps the state of operators between batches, beside an engine's block store.
///
/// ## Ordering
/// Batches of one operator come in order, so far as they succeed; see ``StateTable``.
///
/// ## Isolation
/// Synchronous and callable from any thread.
public protocol StateStore: Sendable {
    /// What is kept for a partition of an operator, made by `make` when there is nothing yet.
    ///
    /// - Throws: ``EngineError`` when the engine keeps no state.
    func cell(
        of id: StateID, partition: Int, make: () -> any AnyStateCell
    ) throws -> any AnyStateCell

    /// Lets go of all partitions of an operator; unknown ones are ignored.
    func release(_ id: StateID)

    /// What is kept now.
    var usage: StateUsage { get }
}

/// What a state store keeps for a partition: the one conformer is ``StateCell``.
public protocol AnyStateCell: AnyObject, Sendable {
    /// How much is kept.
    var usage: StateUsage { get }
}

/// How much state is kept, and what it took.
public struct StateUsage: Sendable, Hashable {
    /// Tables: one per operator and partition.
    public var tableCount = 0
    /// Keys that have a state.
    public var keyCount = 0
    /// Batches that could be undone.
    public var undoLogCount = 0
    /// Changes that could be undone.
    public var undoCount = 0
    /// Keys looked up, fired or read since the table was made.
    public var touchCount = 0

    /// Nothing kept.
    public init() {}

    /// The sums of two usages.
    public static func + (left: StateUsage, right: StateUsage) -> StateUsage {
        var sum = left
        sum.tableCount += right.tableCount
        sum.keyCount += right.keyCount
        sum.undoLogCount += right.undoLogCount
        sum.undoCount += right.undoCount
        sum.touchCount += right.touchCount
        return sum
    }
}

/// Keeps state in the memory of this process.
public final class MemoryStateStore: StateStore {
    private struct Place: Hashable {
        let id: StateID
        let partition: Int
    }

    private let cells = Locked<[Place: any AnyStateCell]>([:])

    /// Makes an empty store.
    public init() {}

    /// Finds or makes what is kept; see ``StateStore/cell(of:partition:make:)``.
    public func cell(
        of id: StateID, partition: Int, make: () -> any AnyStateCell
    ) throws -> any AnyStateCell {
        let place = Place(id: id, partition: partition)
        if let cell = cells.withLock({ $0[place] }) { return cell }
        let fresh = make()
        return cells.withLock { cells in
            if let cell = cells[place] { return cell }
            cells[place] = fresh
            return fresh
        }
    }

    /// Lets go of an operator's state; see ``StateStore/release(_:)``.
    public func release(_ id: StateID) {
        // Freed outside the lock: tables can be large.
        let released = cells.withLock { cells in
            let released = cells.filter { $0.key.id == id }
            for place in released.keys { cells[place] = nil }
            return released
        }
        withExtendedLifetime(released) {}
    }

    /// What is kept now.
    public var usage: StateUsage {
        let all = cells.withLock { Array($0.values) }
        return all.reduce(StateUsage()) { $0 + $1.usage }
    }
}

/// The state store of an engine that keeps none: asking for a table fails.
public struct NoStateStore: StateStore {
    /// Makes one.
    public init() {}

    /// Fails: there is no state here.
    public func cell(
        of id: StateID, partition: Int, make: () -> any AnyStateCell
    ) throws -> any AnyStateCell {
        throw EngineError(.invalidPlan, "the engine keeps no state", partition: partition)
    }

    /// Does nothing.
    public func release(_ id: StateID) {}

    /// Nothing.
    public var usage: StateUsage { StateUsage() }
}

/// One partition's table behind a lock that a task holds as long as it works.
///
/// Two tasks want the same table at the same time only when several jobs run at once, a later one
/// reading or advancing what an earlier one reads; neither has anything else to do meanwhile.
public final class StateCell<Key: StreamKey, Value: Sendable>: AnyStateCell {
    @usableFromInline let table: Locked<StateTable<Key, Value>>

    /// Makes a cell around a table that nobody else uses.
    @inlinable
    public init(_ table: sending StateTable<Key, Value>) { self.table = Locked(table) }

    /// Runs `body` alone with the table.
    ///
    /// - Throws: what `body` throws.
    @inlinable
    public func withTable(_ body: (StateTable<Key, Value>) throws -> Void) throws {
        try table.withLock { table in try body(table) }
    }

    /// How much the table holds; waits while a task works on it.
    public var usage: StateUsage { table.withLock { $0.usage } }
}
