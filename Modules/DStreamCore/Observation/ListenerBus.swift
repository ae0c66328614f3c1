internal import BatchEngine
internal import Synchronization

/// Delivers events to listeners, in the order in which they are posted.
///
/// ## Ordering
/// All listeners get all events in one order, one event at a time: a listener is never called twice at
/// once. Within an event, listeners are called in the order in which they were added.
///
/// ## Isolation
/// `post` delivers before it returns, on the caller's thread. Only if another thread is delivering just
/// then, or a listener posts from within a call, the event is queued and delivered by that thread
/// right after those before it. No lock is held while a listener runs, so listeners may add, remove
/// and post.
///
/// ## Back-pressure
/// None: at most `capacity` events wait for a slow listener; further ones are dropped, counted, and
/// reported by one `eventsDropped`.
public final class ListenerBus: Sendable {
    private struct State {
        var listeners: [any StreamingListener] = []
        var isDelivering = false
        var droppedSinceReport = 0
        var droppedInTotal = 0
        /// The listener that is being called, and with what.
        var call: (listener: any StreamingListener, event: StreamEvent)?
        /// Events from `head` on wait; those before it are delivered and go once all are.
        private var events: [StreamEvent] = []
        private var head = 0

        var waitingCount: Int { events.count - head }

        mutating func append(_ event: StreamEvent) {
            events.append(event)
        }

        mutating func takeFirst() -> StreamEvent? {
            guard head < events.count else { return nil }
            let event = events[head]
            head += 1
            if head == events.count || head >= 1024 {
                events.removeFirst(head)
                head = 0
            }
            return event
        }
    }

    /// The number of events that may wait for a slow listener.
    public let capacity: Int

    private let state = Locked(State())

    /// Creates a bus without listeners.
    ///
    /// - Parameter capacity: how many events may wait for a slow listener; at least 1 is taken.
    public init(capacity: Int = 10_000) {
        self.capacity = max(1, capacity)
    }

    /// Adds a listener behind those present; one that is present already is not added again.
    public func add(_ listener: any StreamingListener) {
        state.withLock { state in
            guard !state.listeners.contains(where: { $0 === listener }) else { return }
            state.listeners.append(listener)
        }
    }

    /// Removes a listener by identity; one that is not present is no error.
    ///
    /// A call that another thread is making at this moment is not waited for.
    public func remove(_ listener: any StreamingListener) {
        state.withLock { $0.listeners.removeAll { $0 === listener } }
    }

    /// The number of listeners.
    public var listenerCount: Int { state.withLock { $0.listeners.count } }

    /// The number of events dropped so far because listeners were too slow.
    public var droppedEventCount: Int { state.withLock { $0.droppedInTotal } }

    /// Which listener is being called, in words; nil: none.
    package var activity: String? {
        guard let call = state.withLock({ $0.call }) else { return nil }
        let event = "\(call.event)".prefix { $0 != "(" }
        return "\(event) in the listener \(type(of: call.listener))"
    }

    /// Delivers an event to every listener.
    ///
    /// - Complexity: one lock and one call per listener; just the lock if there are none.
    public func post(_ event: StreamEvent) {
        let mustDeliver = state.withLock { state in
            if state.listeners.isEmpty && !state.isDelivering { return false }
            guard state.waitingCount < capacity else {
                state.droppedSinceReport += 1
                state.droppedInTotal += 1
                return false
            }
            state.append(event)
            if state.isDelivering { return false }
            state.isDelivering = true
            return true
        }
        if mustDeliver { deliverWaiting() }
    }

    private func deliverWaiting() {
        while let (event, listeners) = takeWaiting() {
            for listener in listeners {
                note((listener, event))
                listener.onEvent(event)
            }
            note(nil)
        }
    }

    /// Notes which listener is being called.
    private func note(_ call: (listener: any StreamingListener, event: StreamEvent)?) {
        let earlier = state.withLock { state in
            defer { state.call = call }
            return state.call
        }
        // A removed listener may end with this, and its end may call the bus: not under the lock.
        withExtendedLifetime(earlier) {}
    }

    /// The next event with those to notify, or nil if none waits and delivery has thereby ended.
    ///
    /// Listeners are looked up for each event, so adding and removing takes effect with the next.
    private func takeWaiting() -> (StreamEvent, [any StreamingListener])? {
        state.withLock { state in
            if let event = state.takeFirst() { return (event, state.listeners) }
            if state.droppedSinceReport > 0 {
                let event = StreamEvent.eventsDropped(count: state.droppedSinceReport)
                state.droppedSinceReport = 0
                return (event, state.listeners)
            }
            state.isDelivering = false
            return nil
        }
    }
}
