#if THREAD_SANITIZER
    /// A value behind a lock.
    ///
    /// Builds for the thread sanitizer use a lock that the sanitizer can see: it reports what is
    /// guarded by the standard library's, which waits by futex, as races.
    @usableFromInline
    package struct Locked<Value>: ~Copyable, Sendable {
        private let monitor: Monitor<Value>

        /// Guards a value.
        @usableFromInline
        package init(_ value: sending Value) { monitor = Monitor(value) }

        /// Runs `body` alone with the value; keep it short and call nothing outside from it.
        @usableFromInline
        package borrowing func withLock<Result, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result {
            try monitor.withLock(body)
        }
    }
#else
    public import Synchronization

    /// A value behind a lock: the standard library's, but in builds for the thread sanitizer.
    @usableFromInline
    package typealias Locked = Mutex
#endif
