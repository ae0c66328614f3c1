import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A process that this one has started and waits for, by its own number alone.
package final class ChildProcess: Sendable {
    /// How a process ended.
    package enum End: Sendable, Hashable, CustomStringConvertible {
        /// It returned or called `exit`.
        case exited(Int32)
        /// A signal ended it.
        case signalled(Int32)
        /// Somebody else has waited for it.
        case unknown

        /// The end in words, for people.
        package var description: String {
            switch self {
            case .exited(let status): return "ended by itself with status \(status)"
            case .unknown: return "ended"
            case .signalled(let signal):
                let name = Self.names[signal].map { " (\($0))" } ?? ""
                let cause = Self.traps.contains(signal) ? ": a trap in user code" : ""
                return "was ended by signal \(signal)\(name)\(cause)"
            }
        }

        private static let names: [Int32: String] = [
            SIGILL: "illegal instruction", SIGTRAP: "trace trap", SIGABRT: "abort",
            SIGBUS: "bus error", SIGFPE: "arithmetic exception", SIGKILL: "killed",
            SIGSEGV: "segmentation fault", SIGTERM: "terminated", SIGINT: "interrupt",
        ]
        private static let traps: Set<Int32> = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV]
    }

    /// The process's number.
    package let id: Int32
    private let end = Locked<End?>(nil)

    private init(id: Int32) { self.id = id }

    /// Starts a program, with the standard output and error of this one and nothing to read.
    ///
    /// It leads a process group of its own, so that what a terminal sends to this program does not
    /// reach it, and inherits no descriptor beyond the first three.
    ///
    /// - Parameters:
    ///   - arguments: the first one names the program.
    ///   - environment: what is added to that of this process.
    package static func start(
        _ path: String, arguments: [String], environment: [String: String]
    ) throws(SystemError) -> ChildProcess {
        try start(path, arguments: arguments.map { Array($0.utf8) }, environment: environment)
    }

    /// Starts a program with arguments that need not be text; without NUL in them.
    ///
    /// The environment of this process is handed on byte by byte.
    package static func start(
        _ path: String, arguments: [[UInt8]], environment: [String: String]
    ) throws(SystemError) -> ChildProcess {
        var actions = fileActions()
        defer { posix_spawn_file_actions_destroy(&actions) }
        var attributes = spawnAttributes()
        defer { posix_spawnattr_destroy(&attributes) }
        var id: pid_t = 0
        let variables = Self.environment(adding: environment)
        let code = withCStrings(arguments) { arguments in
            withCStrings(variables) { variables in
                posix_spawn(&id, path, &actions, &attributes, arguments, variables)
            }
        }
        guard code == 0 else { throw SystemError(call: "posix_spawn", errno: code, subject: path) }
        return ChildProcess(id: id)
    }

    /// Ends the process at once, unless it has ended.
    package func kill() {
        // Under the lock: the number is not another process's before it was waited for.
        end.withLock { end in if end == nil { _ = systemKill(id, SIGKILL) } }
    }

    /// How the process ended, without waiting; nil: it runs.
    package func poll() -> End? {
        // Under the lock: afterwards the number may be another process's.
        end.withLock { end in
            if let end { return end }
            var status: Int32 = 0
            let result = retryingInterrupted { waitpid(id, &status, WNOHANG) }
            if result == 0 { return nil }
            let found = result == id ? Self.meaning(of: status) : .unknown
            end = found
            return found
        }
    }

    /// Blocks the thread until the process has ended.
    package func wait() -> End {
        if let known = end.withLock({ $0 }) { return known }
        // Only looks, so that the number stays the process's: others may want to kill it meanwhile.
        var information = siginfo_t()
        _ = retryingInterrupted { waitid(P_PID, id_t(id), &information, WEXITED | WNOWAIT) }
        return poll() ?? .unknown
    }

    private static func meaning(of status: Int32) -> End {
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
    }
}

extension ChildProcess {
    /// The program that this process runs, also when its file was replaced meanwhile.
    package static var ownExecutable: String {
        #if canImport(Darwin)
            var length: UInt32 = 0
            _NSGetExecutablePath(nil, &length)
            var path = [CChar](repeating: 0, count: Int(length))
            _NSGetExecutablePath(&path, &length)
            return path.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { String(cString: $0) } ?? ""
            }
        #else
            return "/proc/self/exe"
        #endif
    }

    /// Says which file a program is: equal for the same file, until it is written again.
    package static func identity(of path: String) throws(SystemError) -> String {
        var status = stat()
        guard stat(path, &status) == 0 else { throw SystemError.last("stat", path) }
        #if canImport(Darwin)
            let changed = status.st_mtimespec
        #else
            let changed = status.st_mtim
        #endif
        return "\(status.st_dev):\(status.st_ino):\(status.st_size):\(changed.tv_sec)."
            + "\(changed.tv_nsec)"
    }

    /// Ends this process at once: nothing that others hold is waited for.
    package static func leave(_ status: Int32) -> Never { _exit(status) }

    /// Takes a variable out of the environment of this process and its children.
    package static func takeVariable(_ name: String) -> String? {
        defer { unsetenv(name) }
        return ProcessEnvironment[name]
    }
}

#if canImport(Darwin)
    private typealias FileActions = posix_spawn_file_actions_t?
    private typealias SpawnAttributes = posix_spawnattr_t?
#else
    private typealias FileActions = posix_spawn_file_actions_t
    private typealias SpawnAttributes = posix_spawnattr_t
#endif

private func fileActions() -> FileActions {
    #if canImport(Darwin)
        var actions: FileActions = nil
    #else
        var actions = FileActions()
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    #if canImport(Glibc)
        // Also what another thread opens meanwhile; numbers that are not open do no harm.
        let open = (try? FileSystem.list("/proc/self/fd"))?.compactMap { Int32($0) }.max() ?? 255
        for number in 3...open + 64 { posix_spawn_file_actions_addclose(&actions, number) }
    #else
        // All others are closed; see `POSIX_SPAWN_CLOEXEC_DEFAULT`.
        for number: Int32 in 1...2 { posix_spawn_file_actions_addinherit_np(&actions, number) }
    #endif
    return actions
}

private func spawnAttributes() -> SpawnAttributes {
    #if canImport(Darwin)
        var attributes: SpawnAttributes = nil
        let closing = Int32(POSIX_SPAWN_CLOEXEC_DEFAULT)
    #else
        var attributes = SpawnAttributes()
        let closing: Int32 = 0
    #endif
    posix_spawnattr_init(&attributes)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var usual = sigset_t()
    sigemptyset(&usual)
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD] { sigaddset(&usual, signal) }
    posix_spawnattr_setsigdefault(&attributes, &usual)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags =
        Int32(POSIX_SPAWN_SETPGROUP) | Int32(POSIX_SPAWN_SETSIGMASK)
        | Int32(POSIX_SPAWN_SETSIGDEF) | closing
    posix_spawnattr_setflags(&attributes, Int16(flags))
    return attributes
}

private func systemKill(_ id: Int32, _ signal: Int32) -> Int32 { kill(id, signal) }

extension ChildProcess {
    private static func environment(adding added: [String: String]) -> [[UInt8]] {
        let names = Set(added.keys.map { Array($0.utf8) })
        let equals = UInt8(ascii: "=")
        return ProcessEnvironment.variables.filter { variable in
            !names.contains(Array(variable.prefix { $0 != equals }))
        } + added.map { Array("\($0.key)=\($0.value)".utf8) }
    }

    private static func withCStrings<Result>(
        _ strings: [[UInt8]], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0.map { CChar(bitPattern: $0) } + [0]) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}
