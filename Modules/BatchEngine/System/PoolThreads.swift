#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The threads of the cooperative pool: who runs there, and what they do.
package enum PoolThreads {
    /// Runs a call of the runtime's on the pool, and suspends until it has returned.
    ///
    /// Whoever waits for it never waits for the calling thread, which user code may block: not an
    /// actor's turn is enqueued there meanwhile. So nothing of the user's is called.
    ///
    /// - Throws: what the call throws.
    package static func run<Value: Sendable>(
        _ call: @Sendable () async throws -> Value
    ) async rethrows -> Value {
        try await withTaskExecutorPreference(globalConcurrentExecutor) { @concurrent in
            // The preference alone changes no thread before the next resumption; `@concurrent` does.
            try await call()
        }
    }

    // MARK: Which threads there are

    // The pool does not name its threads: whoever runs on it now and then notes the one it is on.
    private static let maximum = 64
    private static let seen = Locked<Set<String>>([])

    /// Notes the calling thread; nothing where the system numbers none.
    package static func note() {
        guard let number = currentNumber else { return }
        seen.withLock { seen in
            // Those that have ended make room.
            if seen.count >= maximum { seen = seen.filter { describe($0) != nil } }
            if seen.count < maximum { seen.insert(number) }
        }
    }

    /// Each thread with its state and what it waits for, as the system says.
    package static var descriptions: [String] {
        seen.withLock { Array($0) }.sorted().compactMap { describe($0) }
    }

    private static var currentNumber: String? {
        var bytes = [CChar](repeating: 0, count: 64)
        let count = readlink("/proc/thread-self", &bytes, bytes.count)
        guard count > 0 else { return nil }
        // The process, "task", and the thread.
        let path = bytes[..<count].map { UInt8(bitPattern: $0) }
        return path.split(separator: UInt8(ascii: "/")).last.map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// nil: there is no such thread any more.
    private static func describe(_ number: String) -> String? {
        let directory = "/proc/self/task/\(number)"
        guard let status = text("\(directory)/stat"), let end = status.lastIndex(of: ")") else {
            return nil
        }
        let state = status[end...].dropFirst(2).first.map { String($0) } ?? "?"
        let wait = text("\(directory)/wchan") ?? ""
        let place = wait.isEmpty || wait == "0" ? "" : " in \(wait)"
        return "thread \(number) (\(words[state] ?? "state \(state)")\(place))"
    }

    private static let words = ["S": "sleeps", "R": "runs", "D": "waits for a device"]

    private static func text(_ path: String) -> String? {
        guard let file = try? OpenFile(path, .read),
            let bytes = try? file.read(at: 0, count: 1024)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
