internal import BatchEngine
internal import Synchronization

/// The contexts that are active in this process, the one started last at the end.
enum ActiveContexts {
    private struct Entry: Sendable {
        let id: ObjectIdentifier
        let context: StreamingContext
    }

    private static let entries = Locked<[Entry]>([])

    static func add(_ context: StreamingContext) {
        entries.withLock { $0.append(Entry(id: ObjectIdentifier(context), context: context)) }
    }

    static func remove(_ context: StreamingContext) {
        entries.withLock { entries in
            entries.removeAll { $0.id == ObjectIdentifier(context) }
        }
    }

    static var last: StreamingContext? { entries.withLock { $0.last?.context } }
}

extension StreamingContext {
    /// The active context that was started last, if any.
    public static func getActive() -> StreamingContext? { ActiveContexts.last }

    /// The active context that was started last, or one that `make` makes.
    public static func getActiveOrCreate(
        _ make: () throws -> StreamingContext
    ) rethrows -> StreamingContext {
        if let active = ActiveContexts.last { return active }
        return try make()
    }
}
