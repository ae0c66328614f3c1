internal import BatchEngine
internal import Synchronization

/// The contexts that are active in this process, the one started last at the end.
enum ActiveContexts {
    private static let contexts = Locked<[StreamingContext]>([])

    static func add(_ context: StreamingContext) { contexts.withLock { $0.append(context) } }

    static func remove(_ context: StreamingContext) {
        contexts.withLock { contexts in contexts.removeAll { $0 === context } }
    }

    static var last: StreamingContext? { contexts.withLock { $0.last } }
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
