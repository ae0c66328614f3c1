internal import Synchronization

/// A directory for spill files under the system's place for temporary files.
///
/// It is locked as long as its program is alive: the system gives the lock back when the program
/// ends, in whatever way, and the next program that starts removes the directory.
package final class SpillDirectory: Sendable {
    /// Programs from before the lock had another name.
    private static let prefix = "dstreams-spilled"

    /// Where it is.
    package let path: String
    private let lock: OpenFile

    /// Makes one of its own.
    package init() throws(SystemError) {
        while true {
            let path = try FileSystem.createTemporaryDirectory(prefix: Self.prefix)
            let lock = try OpenFile(path, .directory)
            // Another program that starts may have taken it for a dead one's just now.
            guard try lock.tryLock(), try lock.hasName(), FileSystem.exists(path) else { continue }
            (self.path, self.lock) = (path, lock)
            return
        }
    }

    /// Removes the directory with everything in it.
    package func remove() { try? FileSystem.removeTree(path) }

    private static let hasSwept = Locked(false)

    /// Removes, once per process, the directories of programs that have ended; what cannot be
    /// removed stays.
    package static func sweepOnce() {
        let isFirst = hasSwept.withLock { hasSwept in
            defer { hasSwept = true }
            return !hasSwept
        }
        if isFirst { sweep(FileSystem.temporaryBase) }
    }

    /// Removes the directories of programs that have ended from a directory.
    package static func sweep(_ base: String) {
        guard let names = try? FileSystem.list(base) else { return }
        for name in names where name.hasPrefix(prefix + ".") {
            let path = "\(base)/\(name)"
            // Other users' cannot be opened.
            guard let lock = try? OpenFile(path, .directory), (try? lock.tryLock()) == true
            else { continue }
            try? FileSystem.removeTree(path)
        }
    }
}
