#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A lock with a condition that threads can wait for.
///
/// For threads of our own only: a waiting caller blocks its thread, so tasks of the cooperative pool
/// must not wait here.
package final class Monitor<State>: @unchecked Sendable {  // state is touched under the lock only
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    // A state of no size alone would share its address with the object's header, which the thread
    // sanitizer takes for a race.
    private var guarded: (state: State, filler: UInt8)

    /// Creates a monitor that guards `state`.
    package init(_ state: sending State) {
        guarded = (state, 0)
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` alone with the state; keep it short and call nothing outside from it.
    package func withLock<Value, Failure: Error>(
        _ body: (inout sending State) throws(Failure) -> sending Value
    ) throws(Failure) -> sending Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&guarded.state)
    }

    /// Blocks the thread until `body` gives a value; it runs again after every signal.
    package func wait<Value>(
        until body: (inout sending State) -> sending Value?
    ) -> sending Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let value = body(&guarded.state) { return value }
            pthread_cond_wait(condition, mutex)
        }
    }

    /// Lets one waiting thread look again.
    package func signal() { pthread_cond_signal(condition) }

    /// Lets all waiting threads look again.
    package func broadcast() { pthread_cond_broadcast(condition) }
}
