internal import BatchEngine

/// One or many directories: a path whose names may hold `*`, `?`, `[a-z]` and `{one,other}`.
package struct DirectoryPattern: Sendable, CustomStringConvertible {
    /// What is found at one time.
    package struct Found: Sendable, Equatable {
        /// The directories, sorted, each once.
        package var directories: [String] = []
        /// What has such a path and is no directory.
        package var files: [String] = []
        /// Directories that could not be looked into, and why.
        package var problems: [String] = []
    }

    /// How many paths the braces of one pattern may stand for.
    static let alternativeMaximum = 1024

    /// The pattern as it was given.
    package let description: String
    private let isAbsolute: Bool
    private let alternatives: [[NamePattern]]

    /// Reads a pattern.
    ///
    /// - Parameter text: a path, also as `file:` URI.
    /// - Throws: ``PatternProblem`` when it cannot be read or names another file system.
    package init(_ text: String) throws(PatternProblem) {
        description = text
        let path = try Self.path(of: text)
        isAbsolute = path.hasPrefix("/")
        var alternatives: [[NamePattern]] = []
        for alternative in try Self.expanded(path) {
            var names: [NamePattern] = []
            for name in alternative.split(separator: "/") where name != "." {
                names.append(try NamePattern(String(name)))
            }
            alternatives.append(names)
        }
        self.alternatives = alternatives
    }

    private static func path(of text: String) throws(PatternProblem) -> String {
        guard !text.isEmpty else { throw PatternProblem("the path is empty") }
        if text.hasPrefix("file:") {
            let rest = text.dropFirst("file:".count)
            return rest.hasPrefix("//") ? String(rest.dropFirst(2)) : String(rest)
        }
        if let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://"),
            text[..<colon].allSatisfy({ $0.isLetter || $0.isNumber })
        {
            throw PatternProblem("\(text): only directories of this machine can be watched")
        }
        return text
    }

    /// The paths that the outermost braces stand for, and those inside them in turn.
    static func expanded(_ path: String) throws(PatternProblem) -> [String] {
        var done: [String] = []
        var open = [path]
        while let next = open.popLast() {
            if let parts = try alternatives(in: next) {
                open += parts.reversed()
            } else {
                done.append(next)
            }
            guard done.count + open.count <= alternativeMaximum else {
                throw PatternProblem(
                    "\(path) stands for more than \(alternativeMaximum) paths")
            }
        }
        return done
    }

    /// What the first group of braces stands for; nil when there is none.
    private static func alternatives(in path: String) throws(PatternProblem) -> [String]? {
        let scalars = Array(path.unicodeScalars)
        var (depth, start, isInClass, index) = (0, 0, false, 0)
        var cuts: [Int] = []
        while index < scalars.count {
            switch scalars[index] {
            case "\\": index += 1
            case "[" where !isInClass: isInClass = true
            case "]": isInClass = false
            case "{" where !isInClass:
                if depth == 0 { start = index }
                depth += 1
            case "," where depth == 1 && !isInClass: cuts.append(index)
            case "}" where depth > 0 && !isInClass:
                depth -= 1
                guard depth == 0 else { break }
                let edges = [start] + cuts + [index]
                return zip(edges, edges.dropFirst()).map { low, high in
                    text(scalars[..<start] + scalars[(low + 1)..<high] + scalars[(index + 1)...])
                }
            default: break
            }
            index += 1
        }
        guard depth == 0 else { throw PatternProblem("a { is not closed in \(path)") }
        return nil
    }

    private static func text(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }

    /// The directories that are there now; blocks the thread.
    package func find() -> Found {
        var found = Found()
        for names in alternatives {
            var paths = [isAbsolute ? "/" : ""]
            for name in names { paths = paths.flatMap { below($0, name, &found.problems) } }
            for path in paths {
                switch isDirectory(path, &found.problems) {
                case true?: found.directories.append(path.isEmpty ? "." : path)
                case false? where Self.isVisible(path): found.files.append(path)
                default: break
                }
            }
        }
        found.directories = Set(found.directories.map(ExactPath.init)).map(\.text).sorted {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
        return found
    }

    private func below(
        _ path: String, _ name: NamePattern, _ problems: inout [String]
    ) -> [String] {
        let stem = path.isEmpty || path == "/" ? path : path + "/"
        if let literal = name.literal { return [stem + literal] }
        do {
            return try FileSystem.list(path.isEmpty ? "." : path).filter(name.matches)
                .map { stem + $0 }
        } catch {
            // What is no directory, or is gone, has nothing below it.
            if !error.isNotFound, isDirectory(path, &problems) == true {
                problems.append("\(error)")
            }
            return []
        }
    }

    /// Nil when nothing is there, or that cannot be found out.
    private func isDirectory(_ path: String, _ problems: inout [String]) -> Bool? {
        do { return try FileSystem.status(path.isEmpty ? "." : path)?.isDirectory } catch {
            problems.append("\(error)")
            return nil
        }
    }

    private static func isVisible(_ path: String) -> Bool {
        FileSelection.isVisible(path.split(separator: "/").last.map(String.init) ?? path)
    }
}
