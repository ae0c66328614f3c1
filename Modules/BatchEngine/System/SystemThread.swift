#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Threads of our own, beside the cooperative pool.
package enum SystemThread {
    /// Starts a thread with a name, which runs a body.
    package typealias Start =
        @Sendable (String, @escaping @Sendable () -> Void) throws(SystemError) -> Void

    /// Starts a detached thread and returns at once.
    ///
    /// - Parameters:
    ///   - name: Shown by debuggers and `top -H`; cut to 15 bytes on Linux.
    ///   - stackBytes: Stack size in bytes, rounded up to the system's minimum; pages are only
    ///     used when touched.
    ///   - body: Runs on the new thread, which ends when it returns.
    /// - Throws: `SystemError` when the system starts no more threads: it says how many there are and
    ///   what to do. Nothing was started.
    package static func start(
        name: String, stackBytes: Int = 1 << 20, body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let page = 16 << 10
        pthread_attr_setstacksize(&attributes, (max(stackBytes, 64 << 10) + page - 1) / page * page)
        let launch = Unmanaged.passRetained(Launch(name: name, body: body))
        #if canImport(Darwin)
            var thread: pthread_t?
            let code = pthread_create(&thread, &attributes, threadMain, launch.toOpaque())
        #else
            var thread = pthread_t()
            let code = pthread_create(&thread, &attributes, threadMain, launch.toOpaque())
        #endif
        guard code == 0 else {
            launch.release()
            throw failure(to: name, code)
        }
    }

    private static func failure(to name: String, _ code: Int32) -> SystemError {
        let subject = "thread \(name)"
        guard code == EAGAIN else {
            return SystemError(call: "pthread_create", errno: code, subject: subject)
        }
        let count = try? FileSystem.list("/proc/self/task").count
        let present = count.map { "this process has \($0) threads" } ?? "it has too many already"
        return SystemError(
            call: "pthread_create", errno: code, subject: subject,
            explanation: "\(subject) cannot be started: \(present), and the system allows no more "
                + "(pthread_create, errno \(code)). Raise the limit (ulimit -u, the number of processes "
                + "of the container, memory), or use fewer receivers and engine slots")
    }

    /// Blocks the calling thread, which must be one that may block.
    package static func pause(microseconds: UInt32) { usleep(microseconds) }

    /// A number that tells the running threads of this program apart.
    package static var current: UInt {
        #if canImport(Darwin)
            return UInt(bitPattern: pthread_self())
        #else
            return UInt(pthread_self())
        #endif
    }
}

private final class Launch {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

#if canImport(Darwin)
    private func threadMain(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        let launch = Unmanaged<Launch>.fromOpaque(argument).takeRetainedValue()
        pthread_setname_np(launch.name)
        launch.body()
        return nil
    }
#else
    private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let argument else { return nil }
        let launch = Unmanaged<Launch>.fromOpaque(argument).takeRetainedValue()
        setThreadName(launch.name)
        launch.body()
        return nil
    }

    /// Names the calling thread; one that cannot be named works as well.
    private func setThreadName(_ name: String) {
        // The call for it is an extension that Swift does not see; Linux cuts names to 15 bytes.
        let number = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard number >= 0 else { return }
        let bytes = Array(name.utf8)
        _ = write(number, bytes, bytes.count)
        systemClose(number)
    }
#endif
