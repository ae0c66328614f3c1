/// The text of an element as Spark prints it: `(a,1)`, `Some(3)`, `None`.
///
/// - Complexity: O(size of the element); reflection is used for everything but strings and
///   integers.
public func elementText<Element>(_ element: Element) -> String {
    // By type first: a cast would look through optionals.
    let type = type(of: element as Any)
    if type == String.self, let text = element as? String { return text }
    if type == Int.self, let number = element as? Int { return String(number) }
    let mirror = Mirror(reflecting: element)
    switch mirror.displayStyle {
    case .tuple:
        return "(" + mirror.children.map { elementText($0.value) }.joined(separator: ",") + ")"
    case .optional:
        guard let wrapped = mirror.children.first else { return "None" }
        return "Some(\(elementText(wrapped.value)))"
    case .collection:
        return "List(" + mirror.children.map { elementText($0.value) }.joined(separator: ", ") + ")"
    default:
        return String(describing: element)
    }
}
