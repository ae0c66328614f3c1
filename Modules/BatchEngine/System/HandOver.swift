/// Shows the thread sanitizer that a continuation orders what was before it and what comes after.
///
/// The runtime orders them by atomics that are not instrumented. Both sides pass here: the thread
/// that resumes, before it does, and the task, when it goes on. Other builds do nothing.
package struct HandOver: Sendable {
    #if THREAD_SANITIZER
        // A state of no size would share its address with the object's header.
        private let monitor = Monitor(0)

        package init() {}

        package func pass() { monitor.withLock { _ in } }
    #else
        package init() {}

        package func pass() {}
    #endif
}
