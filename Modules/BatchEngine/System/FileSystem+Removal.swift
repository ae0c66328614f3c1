#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension FileSystem {
    /// Removes a file or a directory with everything in it; links are not followed.
    ///
    /// Each directory is opened below the one it was found in: a link that somebody puts in its place
    /// meanwhile is not followed either.
    package static func removeTree(_ path: String) throws(SystemError) {
        try SystemError.refuseNull(in: path, "remove")
        try removeEntry(path, below: AT_FDCWD, path)
    }

    private static func removeEntry(
        _ name: String, below directory: Int32, _ path: String
    ) throws(SystemError) {
        var status = stat()
        guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            if currentErrno() == ENOENT { return }
            throw SystemError.last("fstatat", path)
        }
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        if isDirectory { try removeEntries(of: name, below: directory, path) }
        guard unlinkat(directory, name, isDirectory ? AT_REMOVEDIR : 0) == 0 else {
            let code = currentErrno()
            if code == ENOENT { return }
            throw SystemError(call: "unlinkat", errno: code, subject: path)
        }
    }

    private static func removeEntries(
        of name: String, below directory: Int32, _ path: String
    ) throws(SystemError) {
        let number = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard number >= 0 else { throw SystemError.last("openat", path) }
        defer { systemClose(number) }
        let listed = fcntl(number, F_DUPFD_CLOEXEC, 0)
        guard listed >= 0 else { throw SystemError.last("fcntl", path) }
        for name in try names(ofAndClosing: listed, path) {
            try removeEntry(name, below: number, "\(path)/\(name)")
        }
    }

    /// The names in an open directory, without `.` and `..`.
    static func names(
        ofAndClosing number: Int32, _ path: String
    ) throws(SystemError) -> [String] {
        guard let directory = fdopendir(number) else {
            let error = SystemError.last("fdopendir", path)
            systemClose(number)
            throw error
        }
        defer { closedir(directory) }
        return try names(in: path) {
            guard let entry = readdir(directory) else { return nil }
            return withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
            }
        }
    }

    /// The names that a directory gives one after the other, without `.` and `..`.
    ///
    /// - Parameter next: gives nil at the end, and with an error number when it cannot go on.
    package static func names(
        in path: String, _ next: () -> String?
    ) throws(SystemError) -> [String] {
        var names: [String] = []
        while true {
            clearErrno()
            guard let name = next() else { break }
            if name != ".", name != ".." { names.append(name) }
        }
        guard currentErrno() == 0 else { throw SystemError.last("readdir", path) }
        return names
    }
}
