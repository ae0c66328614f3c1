/// Shows the thread sanitizer that a continuation orders what was before it and what comes after.
///
/// The runtime orders them by atomics that are not instrumented. Both sides pass here: the thread
/// that resumes, before it does, and the task, when it goes on. Other builds do nothing.
package struct HandOver: Sendable {
    #if THREAD_SANITIZER
        private let monitor = Monitor(())

        package init() {}

        package func pass() { monitor.withLock { _ in } }
    #else
        package init() {}

        package func pass() {}
    #endif
}
