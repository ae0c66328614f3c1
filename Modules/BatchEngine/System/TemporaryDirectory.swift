internal import Synchronization

/// A directory of this program under the system's place for temporary files.
///
/// It is locked as long as its program is alive: the system gives the locks back when the program
/// ends, in whatever way, and the next program that starts removes the directory.
package final class TemporaryDirectory: Sendable {
    /// What a directory is for, as its name says.
    package enum Purpose: String, CaseIterable, Sendable {
        /// Blocks that memory has no room for; programs from before the lock had another name.
        case spill = "dstreams-spilled"
        /// The socket that a worker connects to; before the lock, another name.
        case socket = "dstreams-socket"
    }

    private static let lockName = "/lock"

    /// Where it is.
    package let path: String
    private let locks: [OpenFile]

    /// Makes one of its own.
    ///
    /// - Parameters:
    ///   - purpose: what it is for.
    ///   - base: where; nil: under the system's place for temporary files.
    package init(_ purpose: Purpose, in base: String? = nil) throws(SystemError) {
        while true {
            let path = try FileSystem.createTemporaryDirectory(
                prefix: purpose.rawValue, in: base)
            // Another program that starts may have taken it for a dead one's just now.
            guard let locks = try Self.lock(path), FileSystem.exists(path) else { continue }
            (self.path, self.locks) = (path, locks)
            return
        }
    }

    /// Locks a directory, and the file in it that stands for it: other machines that share it see the
    /// lock of a file only, and programs that tidy up look for the directory's.
    ///
    /// - Returns: nil when another program has it, removed it or owns it.
    private static func lock(_ path: String) throws(SystemError) -> [OpenFile]? {
        do throws(SystemError) {
            let directory = try OpenFile(path, .directory)
            guard try directory.isOwn(), try directory.tryLock() else { return nil }
            let file = try OpenFile(path + lockName, .lock)
            // Whoever waits for a name that was removed locks nothing that others see.
            guard try file.tryLock(), try file.hasName(), try directory.hasName() else {
                return nil
            }
            return [directory, file]
        } catch {
            if error.isNotFound { return nil }
            throw error
        }
    }

    /// Removes the directory with everything in it.
    package func remove() { try? FileSystem.removeTree(path) }

    /// Removes the directory of a program that has ended, if nothing but its lock is left in it.
    package static func removeEmptied(_ path: String) {
        _ = try? FileSystem.remove(path + lockName)
        _ = try? FileSystem.remove(path)
    }

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

    /// Removes the directories of this user's programs that have ended from a directory.
    package static func sweep(_ base: String) {
        guard let names = try? FileSystem.list(base) else { return }
        let prefixes = Purpose.allCases.map { $0.rawValue + "." }
        for name in names where prefixes.contains(where: { name.hasPrefix($0) }) {
            let path = "\(base)/\(name)"
            guard let locks = try? lock(path) else { continue }
            withExtendedLifetime(locks) { try? FileSystem.removeTree(path) }
        }
    }
}
